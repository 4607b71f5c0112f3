//! Attacks: what an attacker can do to the service, such as use up the account's quota
//! or stock, put a script into a page or a header into an answer, or make it slow for others.

mod budget;
mod impostor;
mod injection;
mod markup;
mod minute_limit;
mod permanent;
mod pictures;
mod smuggling;
