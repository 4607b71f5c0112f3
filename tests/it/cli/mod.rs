//! The command line: arguments, exit codes, output, signals.

mod codes;
mod doctor;
mod key;
mod log;
mod metrics;
mod process;
mod sign;
