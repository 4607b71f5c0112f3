//! The freshness rule against a naive model of it, by the words of the contract: 100 000 random
//! steps, no expired code.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wechat::scene::Lifetime;
use wechat::ticket::{IssuedCode, Life};
use wxqr::clock::{Clock, ManualClock};
use wxqr::codes::ReuseShare;

/// Walks through the life of a scene, and steps of each: 100 000 together.
const WALKS: u32 = 500;
const STEPS: usize = 200;

const LONGEST: u64 = Lifetime::MAX_SECONDS as u64;

/// What happens next to a scene.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes.
    Wait(Duration),
    /// Time passes until so many milliseconds before or after the ticket reaches the floor of a
    /// request of this lifetime.
    WaitForFloor { asked: u64, off_by: i64 },
    /// A request of this lifetime, which arrived that long ago. If it mints, WeChat grants this
    /// percentage.
    Request {
        asked: u64,
        ago: Duration,
        granted: u64,
    },
}

/// The last ticket as the model knows it, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Ticket {
    minted: i128,
    asked: i128,
    granted: i128,
}

/// The rule in whole numbers. The share is in thousandths.
#[derive(Debug, Clone, Copy)]
struct Model {
    share: i128,
}

impl Model {
    /// The floor, multiplied by what [`Self::scale`] is so that it stays whole.
    fn scaled_floor(self, ticket: Ticket, asked: i128) -> i128 {
        let wanted = if self.share == 0 {
            (60_000 * 1000).min(asked * 500)
        } else {
            self.share * asked
        };
        wanted * ticket.granted
    }

    fn scale(ticket: Ticket) -> i128 {
        1000 * ticket.asked
    }

    fn serves(self, ticket: Ticket, asked: i128, arrived: i128, now: i128) -> bool {
        let left = ticket.minted + ticket.granted - now;
        let minted_for_it = ticket.minted >= arrived && ticket.asked >= asked;
        left > 0
            && (minted_for_it || left * Self::scale(ticket) >= self.scaled_floor(ticket, asked))
    }

    /// Whether the request meets the ticket within a microsecond of the floor, where a fraction may
    /// be rounded either way.
    fn is_a_draw(self, ticket: Ticket, asked: i128, now: i128) -> bool {
        let left = ticket.minted + ticket.granted - now;
        let apart = left * Self::scale(ticket) - self.scaled_floor(ticket, asked);
        apart.abs() * 1000 < Self::scale(ticket)
    }
}

fn lives() -> impl Strategy<Value = u64> {
    prop_oneof![
        1..=LONGEST,
        1..=7200_u64,
        1..=60_u64,
        Just(7200),
        Just(LONGEST),
        Just(1)
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let millis = |most: u64| (0..=most).prop_map(Duration::from_millis);
    prop_oneof![
        2 => millis(40 * 24 * 3_600_000).prop_map(Step::Wait),
        4 => millis(7_200_000).prop_map(Step::Wait),
        4 => millis(60_000).prop_map(Step::Wait),
        4 => (lives(), -2..=2_i64).prop_map(|(asked, off_by)| Step::WaitForFloor { asked, off_by }),
        14 => (lives(), millis(30_000), prop_oneof![Just(100), 1..=100_u64])
            .prop_map(|(asked, ago, granted)| Step::Request { asked, ago, granted }),
    ]
}

fn shares() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(500), Just(1000), 0..=1000_u64]
}

/// One scene from its first request on.
struct Walk {
    reuse: ReuseShare,
    model: Model,
    clock: ManualClock,
    held: Option<(IssuedCode, Ticket)>,
}

impl Walk {
    fn new(share: u64) -> Self {
        let text = format!("{}.{:03}", share / 1000, share % 1000);
        Self {
            reuse: text.parse().unwrap(),
            model: Model {
                share: share.into(),
            },
            clock: ManualClock::starting_at(Timestamp::UNIX_EPOCH + Duration::from_hours(1)),
            held: None,
        }
    }

    fn now(&self) -> i128 {
        self.clock.now().as_millisecond().into()
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Wait(pause) => self.clock.advance(pause),
            Step::WaitForFloor { asked, off_by } => self.wait_for_floor(asked, off_by),
            Step::Request {
                asked,
                ago,
                granted,
            } => self.request(asked, ago, granted)?,
        }
        Ok(())
    }

    fn wait_for_floor(&mut self, asked: u64, off_by: i64) {
        let Some((_, ticket)) = self.held else { return };
        let floor =
            self.model.scaled_floor(ticket, i128::from(asked) * 1000) / Model::scale(ticket);
        let at = ticket.minted + ticket.granted - floor + i128::from(off_by);
        let pause = (at - self.now()).clamp(0, 1 << 40);
        self.clock
            .advance(Duration::from_millis(pause.try_into().unwrap()));
    }

    fn request(&mut self, asked: u64, ago: Duration, granted: u64) -> Result<(), TestCaseError> {
        let life: Lifetime = asked.try_into().unwrap();
        let arrived = self.clock.now() - ago;
        if !self.is_served(life, arrived)? {
            self.mint(life, granted);
            prop_assert!(
                self.is_served(life, arrived)?,
                "what is minted for a request must satisfy it: {:?}",
                self.held
            );
        }
        Ok(())
    }

    /// What the code says, which must be what the model says.
    fn is_served(&self, life: Lifetime, arrived: Timestamp) -> Result<bool, TestCaseError> {
        let Some((code, ticket)) = &self.held else {
            return Ok(false);
        };
        let (asked, now) = (i128::from(life.as_secs()) * 1000, self.now());
        let got = self
            .reuse
            .is_fresh(code, Some(life), arrived, self.clock.now());
        let want = self
            .model
            .serves(*ticket, asked, arrived.as_millisecond().into(), now);
        let expired = now >= ticket.minted + ticket.granted;
        prop_assert!(
            !(got && expired),
            "an expired code is served: {ticket:?} at {now}"
        );
        prop_assert!(
            got == want || self.model.is_a_draw(*ticket, asked, now),
            "{got}, but the model says {want}: {ticket:?}, {asked} ms asked at {now}"
        );
        Ok(got)
    }

    fn mint(&mut self, asked: Lifetime, percent: u64) {
        let seconds = u64::from(asked.as_secs());
        let granted: Lifetime = (seconds * percent / 100).max(1).try_into().unwrap();
        let life = Life::Temporary {
            minted_at: self.clock.now(),
            asked,
            granted,
        };
        let code = IssuedCode {
            ticket: "t".parse().unwrap(),
            url: "http://weixin.qq.com/q/t".parse().unwrap(),
            life,
        };
        let ticket = Ticket {
            minted: self.now(),
            asked: i128::from(seconds) * 1000,
            granted: i128::from(granted.as_secs()) * 1000,
        };
        self.held = Some((code, ticket));
    }
}

#[test]
fn the_freshness_floor_is_the_models_and_no_expired_code_is_served() {
    let config = Config {
        cases: WALKS,
        failure_persistence: None,
        ..Config::default()
    };
    let walks = (shares(), prop::collection::vec(steps(), STEPS));
    TestRunner::new(config)
        .run(&walks, |(share, steps)| {
            let mut walk = Walk::new(share);
            steps.iter().try_for_each(|step| walk.take(step))
        })
        .unwrap();
}
