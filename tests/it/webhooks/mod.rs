//! Webhooks: what a receiver gets, in which order, and what its troubles cost.

mod bench;
mod deliveries;
mod examples;
mod replicas;
mod service;
