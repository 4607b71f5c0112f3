//! The command line: arguments, exit codes, output, signals.

mod codes;
mod doctor;
mod key;
mod log;
mod metrics;
mod outbound_address;
mod process;
mod sign;
