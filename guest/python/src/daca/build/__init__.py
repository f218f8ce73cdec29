"""From the module of an agent to a component."""
