//! The sandbox, which imitates WeChat: its calls, its phone, and the commands `wxqr sandbox` and `wxqr demo`.

mod calls;
mod command;
mod phone;
