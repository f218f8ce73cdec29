//! Names that nothing else has.

/// An id that no other turn of any host has: for events, which brokers and readers tell apart by it.
pub fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
