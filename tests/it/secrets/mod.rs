//! Secrets and openids, which no log, answer, page or metric may show.

mod canary;
mod pushes;
mod setup;
mod webhooks;
