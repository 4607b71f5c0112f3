//! The rooms of wxqr, from the ground up. `ARCHITECTURE.md` has the drawing and the walk-throughs.

pub mod access;
pub mod clock;
pub mod config;
pub mod render;
pub mod sandbox;
pub mod scene;
pub mod ticket;
