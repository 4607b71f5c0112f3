//! The database against every engine: the contract, what it opens, locks, a pooler, and replicas
//! that share it.

mod backup;
mod channels;
mod codes;
mod contract;
mod copy;
mod events;
mod files;
mod index_reads;
mod integrity;
mod locks;
mod opening;
mod pooler;
mod replicas;
mod round_trips;
mod upgrade;
