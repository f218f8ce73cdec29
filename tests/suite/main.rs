//! The host with real components, spoken to over HTTP.

mod conversation;
