//! Faults and bad days: WeChat fails or hangs, the database goes away, processes are killed or
//! restarted under load, another program takes the token.

mod crash;
mod crash_under_events;
mod database_down;
mod database_trouble;
mod hang;
mod restarts;
mod token_theft;
mod wechat;
