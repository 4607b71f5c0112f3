//! The command line: arguments, exit codes, output, signals.

mod doctor;
mod process;
mod sign;
