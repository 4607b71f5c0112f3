//! Progress on a terminal. Elsewhere nothing is written.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar of so many steps on standard error.
pub(super) fn of_steps(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left")
        .expect("the template is valid");
    let steps = u64::try_from(steps).ok();
    ProgressBar::with_draw_target(steps, ProgressDrawTarget::stderr()).with_style(style)
}

/// The bytes that came so far, of an unknown number.
pub(super) fn of_bytes() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {bytes} ({bytes_per_sec})")
        .expect("the template is valid");
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}
