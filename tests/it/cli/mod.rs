//! The command line: arguments, exit codes, output, signals.

mod codes;
mod doctor;
mod key;
mod log;
mod process;
mod sign;
