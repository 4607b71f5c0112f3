//! Documents and container files against the code that they describe.

mod architecture;
mod circles;
mod comments;
mod container;
mod errcodes;
mod glossary;
mod readme;
mod settings;
mod threat_model;
