"""The ChatAgent of the tutorial, which behaves like the Rust agent in `guest/chat-agent`.

The class is the tutorial's. What its FastAPI endpoints did is in the manifest, and in the two functions below.
"""
import logging
from daca.dapr import Actor, ActorInterface, DaprClient, HostError, Invalid, actormethod, config, json

# The bytes of a message as JSON: the kept ones fit into one state value (1 MiB).
MAX_MESSAGE = 128 * 1024


def check(message: object) -> None:
    """Refuses what is no message `{role, content}`."""
    size = len(json.dumps(message).encode())
    if size > MAX_MESSAGE:
        raise Invalid(f"The message has {size} bytes; {MAX_MESSAGE} are the most")
    fields = message if isinstance(message, dict) else {}
    for name in ("content", "role"):
        value = fields.get(name)
        if not isinstance(value, str) or (name == "content" and not value):
            raise Invalid(f"Invalid or missing '{name}' field")


def failure_of(e: Exception) -> Exception:
    """The failure for the caller, whose fault a message is that is too large: a retry would not change that."""
    if isinstance(e, HostError) and e.code == "too-large":
        return Invalid(f"The message cannot be kept: {e}")
    return e

# Define the actor interface
class ChatAgentInterface(ActorInterface):
    @actormethod(name="ProcessMessage")
    async def process_message(self, user_input: dict) -> dict | None:
        pass

    @actormethod(name="GetConversationHistory")
    async def get_conversation_history(self) -> list[dict] | None:
        pass

# Implement the actor
class ChatAgent(Actor, ChatAgentInterface):
    def __init__(self, ctx, actor_id):
        super().__init__(ctx, actor_id)
        self._history_key = f"history-{actor_id.id}"
        self._actor_id = actor_id

    async def _on_activate(self) -> None:
        """Initialize state on actor activation."""
        logging.info(f"Activating actor for {self._history_key}")
        try:
            history = await self._state_manager.get_state(self._history_key)
            if history is None:
                logging.info(f"State not found for {self._history_key}, initializing")
                await self._state_manager.set_state(self._history_key, [])
            else:
                logging.info(f"State found for {self._history_key}: {history}")
        except Exception as e:
            logging.warning(f"Non-critical error in _on_activate: {e}")

    async def process_message(self, user_input: dict) -> dict:
        """Process a user message and append to history."""
        check(user_input)
        try:
            logging.info(f"Processing message for {self._history_key}: {user_input}")
            # Load history
            history = await self._state_manager.get_state(self._history_key)
            current_history = history if isinstance(history, list) else []

            # Append user message
            current_history.append(user_input)

            # Generate response
            response_content = f"Got your message: {user_input['content']}"
            response = {"role": "assistant", "content": response_content}

            # Append assistant response
            current_history.append(response)
            if len(current_history) > 5:  # Limit to last 5 exchanges
                current_history = current_history[-5:]

            # Save updated history
            await self._state_manager.set_state(self._history_key, current_history)
            logging.info(f"Processed message for {self._history_key}: {user_input['content']}")

            # Publish event
            await self._publish_conversation_event(user_input, response)

            # Send SMS notification via Twilio output binding
            if config.get("to-number") != "": await self._send_sms_notification(user_input, response)

            return response
        except Exception as e:
            logging.error(f"Error processing message for {self._history_key}: {e}")
            raise failure_of(e)

    async def _publish_conversation_event(self, user_input: dict, response: dict) -> None:
        """Publish a ConversationUpdated event to the user-chat topic."""
        event_data = {
            "actor_id": self._actor_id.id,
            "history_key": self._history_key,
            "actor_type": "ChatAgent",
            "event_type": "ConversationUpdated",
            "input": user_input,
            "output": response
        }
        with DaprClient() as client:
            try:
                client.publish_event(
                    pubsub_name="daca-pubsub",
                    topic_name="user-chat",
                    data=json.dumps(event_data)
                )
                client.log_outcome(f"Published event for {self._history_key}: {json.dumps(event_data)}", "Failed to publish event")
            except Exception as e:
                logging.error(f"Failed to publish event: {e}")

    async def _send_sms_notification(self, user_input: dict, response: dict) -> None:
        """Send an SMS notification via Twilio output binding."""
        sms_data = {
            "toNumber": config.get("to-number", "+1987654321"),
            "body": f"New message from {self._actor_id.id}: {user_input['content']} -> {response['content']}"
        }
        with DaprClient() as client:
            try:
                client.invoke_binding(
                    binding_name="twilio-binding",
                    operation="create",
                    data=sms_data["body"], binding_metadata={"toNumber": sms_data["toNumber"]}
                )
                client.log_outcome(f"Sent SMS for {self._history_key}: {json.dumps(sms_data)}", "Failed to send SMS")
            except Exception as e:
                logging.error(f"Failed to send SMS: {e}")

    async def get_conversation_history(self) -> list[dict]:
        """Retrieve conversation history."""
        try:
            history = await self._state_manager.get_state(self._history_key)
            return history if isinstance(history, list) else []
        except Exception as e:
            logging.error(f"Error getting history for {self._history_key}: {e}")
            raise
