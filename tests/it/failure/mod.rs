//! Faults and bad days: WeChat fails or hangs, the database goes away, processes are killed or
//! restarted under load, another program takes the token.

mod crash;
mod crash_under_events;
mod hang;
mod restarts;
mod store_down;
mod store_trouble;
mod token_theft;
mod wechat;
