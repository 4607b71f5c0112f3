//! WeChat's pushes over HTTP: which are accepted, how fast, what the operator sees of the others,
//! and the relay.

mod bodies;
mod pace;
mod pushes;
mod refusals;
mod relay;
mod replies;
mod reply_texts;
mod wechatpy;
