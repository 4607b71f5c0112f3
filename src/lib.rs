//! The rooms of wxqr, from the ground up. `ARCHITECTURE.md` has the drawing and the walk-throughs.

pub mod clock;
pub mod render;
pub mod sandbox;
pub mod scene;
pub mod ticket;
