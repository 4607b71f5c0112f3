//! What clients may cost: connections, deadlines, sizes, open files.

mod clients;
