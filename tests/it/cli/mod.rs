//! The command line: arguments, exit codes, output, signals.

mod doctor;
mod key;
mod log;
mod process;
mod sign;
