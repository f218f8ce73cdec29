//! Unique ids.

/// Returns an id that no turn of any host has otherwise. Brokers and subscribers distinguish events by it.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
