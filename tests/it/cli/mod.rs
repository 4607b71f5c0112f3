//! The command line: arguments, exit codes, output, signals.

mod doctor;
mod log;
mod process;
mod sign;
