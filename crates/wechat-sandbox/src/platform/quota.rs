//! Daily quotas, which WeChat counts per account and API.

use jiff::Timestamp;

use crate::errcode::Errcode;

/// How far China's clocks are ahead of UTC. There is no daylight saving.
const CHINA_OFFSET_SECONDS: i64 = 8 * 3600;

/// A daily quota: at most `LIMIT` calls on each day in China. When WeChat's day begins is not
/// documented; midnight in China is the likely answer.
#[derive(Debug, Default)]
pub(crate) struct DailyQuota<const LIMIT: u32> {
    day: i64,
    used: u32,
}

impl<const LIMIT: u32> DailyQuota<LIMIT> {
    /// Counts one call.
    ///
    /// # Errors
    /// Errcode 45009 when the quota is used up.
    pub(crate) fn take(&mut self, now: Timestamp) -> Result<(), Errcode> {
        let today = (now.as_second() + CHINA_OFFSET_SECONDS).div_euclid(86_400);
        if self.day != today {
            *self = Self {
                day: today,
                used: 0,
            };
        }
        if self.used == LIMIT {
            return Err(Errcode::DAILY_LIMIT);
        }
        self.used += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daily_quota_resets_at_midnight_in_china() {
        let mut quota = DailyQuota::<2>::default();
        for (time, want) in [
            ("2026-11-22T15:59:58Z", Ok(())),
            ("2026-11-22T15:59:59Z", Ok(())),
            ("2026-11-22T15:59:59Z", Err(Errcode::DAILY_LIMIT)),
            ("2026-11-22T16:00:00Z", Ok(())),
            ("2026-11-23T15:59:59Z", Ok(())),
            ("2026-11-23T15:59:59Z", Err(Errcode::DAILY_LIMIT)),
        ] {
            assert_eq!(quota.take(time.parse().unwrap()), want, "at {time}");
        }
    }
}
