//! How many commands a group has, by which its statements share messages.

/// The most commands of a [`GroupSize::Few`]. Chosen: about what comes during one slow commit, when
/// a campaign brings 500 events a second.
const FEW: usize = 8;

/// The size of a group of commands of one or more types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupSize {
    /// One command.
    One,
    /// Two to eight commands of one type.
    Few,
    /// More commands, or of several types.
    Many,
}

impl GroupSize {
    pub(super) fn of(commands: usize, types: usize) -> Self {
        match (commands, types) {
            (1, 1) => Self::One,
            (2..=FEW, 1) => Self::Few,
            _ => Self::Many,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_to_eight_commands_of_one_type_are_few() {
        for (commands, types, want) in [
            (1, 1, GroupSize::One),
            (2, 1, GroupSize::Few),
            (8, 1, GroupSize::Few),
            (9, 1, GroupSize::Many),
            (2, 2, GroupSize::Many),
        ] {
            let got = GroupSize::of(commands, types);
            assert_eq!(got, want, "{commands} of {types}");
        }
    }
}
