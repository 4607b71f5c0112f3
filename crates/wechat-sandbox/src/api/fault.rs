//! Fault injection: what goes wrong, on which calls, and how often.

use std::time::Duration;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::api::log::Api;

/// The most faults that may be set at once.
pub(crate) const MAX_FAULTS: usize = 100;
/// The longest that a slow answer takes.
const MAX_DELAY: Duration = Duration::from_mins(10);

/// A fault, the calls it applies to, and how often it fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FaultJson", into = "FaultJson")]
pub struct Fault {
    target: Target,
    kind: FaultKind,
    times: Option<u32>,
    percent: u8,
}

/// Which calls a fault applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Both token calls.
    Token,
    /// `qrcode/create`.
    Create,
    /// `showqrcode`.
    Show,
    /// Calls that are not imitated.
    Other,
    /// All of them.
    Any,
}

/// What goes wrong.
///
/// Under `Slow` and `Half` the real work is done before the answer is spoiled: tokens, quotas and
/// codes have changed, which is how a caller meets an unknown outcome. Under the others nothing
/// happens but the fault. The call is recorded in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// HTTP 200 with this errcode, as WeChat refuses.
    Errcode(i64),
    /// This HTTP status with a gateway's HTML page.
    Status(StatusCode),
    /// The right answer, this much later.
    Slow(Duration),
    /// No answer until the caller leaves.
    Hang,
    /// The connection is closed without a byte of an answer. It is an orderly close of the socket:
    /// a caller sees the end of the stream where an answer should begin.
    Reset,
    /// HTTP 200 with bytes that are neither JSON nor UTF-8.
    Garbage,
    /// The right headers and the first half of the right body, then the connection closes. Where
    /// the right body is empty (a 404 of `showqrcode`), as [`FaultKind::Reset`].
    Half,
    /// HTTP 200 with a body of 1 GiB that begins like an answer, made as fast as it is read.
    Huge,
}

impl FaultKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Errcode(_) => "errcode",
            Self::Status(_) => "status",
            Self::Slow(_) => "slow",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::Garbage => "garbage",
            Self::Half => "half",
            Self::Huge => "huge",
        }
    }
}

impl Fault {
    /// A fault that fires on every call it applies to, until the faults are set anew.
    pub fn new(target: Target, kind: FaultKind) -> Self {
        Self {
            target,
            kind,
            times: None,
            percent: 100,
        }
    }

    /// Fires this often, then no more.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// Fires on this share of the calls, 1 to 100, spread evenly and always alike: 50 is every
    /// second call.
    #[must_use]
    pub fn percent(self, percent: u8) -> Self {
        Self {
            percent: percent.clamp(1, 100),
            ..self
        }
    }

    fn applies_to(&self, api: Api) -> bool {
        match self.target {
            Target::Any => true,
            Target::Token => api == Api::Token,
            Target::Create => api == Api::Create,
            Target::Show => api == Api::Show,
            Target::Other => api == Api::Other,
        }
    }
}

/// The faults that are set.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<ArmedFault>);

#[derive(Debug)]
struct ArmedFault {
    fault: Fault,
    /// Hundredths of a firing that the calls so far have added up to; fires on reaching a whole
    /// one.
    credit: u8,
}

impl Faults {
    pub(crate) fn set(&mut self, faults: Vec<Fault>) {
        self.0 = faults
            .into_iter()
            .filter(|fault| fault.times != Some(0))
            .map(|fault| ArmedFault { fault, credit: 0 })
            .collect();
    }

    /// Sets one more, after the others.
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(ArmedFault { fault, credit: 0 });
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.0.iter().map(|armed| armed.fault).collect()
    }

    /// The fault of this call: the first that applies and fires. The others do not see the call.
    pub(crate) fn next(&mut self, api: Api) -> Option<FaultKind> {
        let at = self
            .0
            .iter_mut()
            .position(|armed| armed.fault.applies_to(api) && armed.fires())?;
        let kind = self.0[at].fault.kind;
        if self.0[at].fault.times == Some(0) {
            self.0.remove(at);
        }
        Some(kind)
    }
}

impl ArmedFault {
    fn fires(&mut self) -> bool {
        self.credit += self.fault.percent;
        let Some(left) = self.credit.checked_sub(100) else {
            return false;
        };
        self.credit = left;
        self.fault.times = self.fault.times.map(|times| times.saturating_sub(1));
        true
    }
}

/// A fault as the controls write it in JSON.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultJson {
    api: Target,
    kind: KindName,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u8>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    Errcode,
    Status,
    Slow,
    Hang,
    Reset,
    Garbage,
    Half,
    Huge,
}

/// Why JSON is no fault. The message says what would be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum FaultError {
    #[error("kind \"errcode\" needs a value: the errcode, not 0")]
    Errcode,
    #[error("kind \"status\" needs a value: an HTTP status from 200 to 599")]
    Status,
    #[error("kind \"slow\" needs a value: the delay in milliseconds, 0 to 600000")]
    Slow,
    #[error("times must be 1 or more; leave it out for a fault that stays")]
    Times,
    #[error("percent must be 1 to 100")]
    Percent,
}

impl TryFrom<FaultJson> for Fault {
    type Error = FaultError;

    /// The kinds without a value ignore one.
    fn try_from(line: FaultJson) -> Result<Self, FaultError> {
        let kind = match line.kind {
            KindName::Errcode => line
                .value
                .filter(|errcode| *errcode != 0)
                .map(FaultKind::Errcode)
                .ok_or(FaultError::Errcode)?,
            KindName::Status => line
                .value
                .and_then(|status| u16::try_from(status).ok())
                .filter(|status| (200..600).contains(status))
                .and_then(|status| StatusCode::from_u16(status).ok())
                .map(FaultKind::Status)
                .ok_or(FaultError::Status)?,
            KindName::Slow => line
                .value
                .and_then(|millis| u64::try_from(millis).ok())
                .map(Duration::from_millis)
                .filter(|delay| *delay <= MAX_DELAY)
                .map(FaultKind::Slow)
                .ok_or(FaultError::Slow)?,
            KindName::Hang => FaultKind::Hang,
            KindName::Reset => FaultKind::Reset,
            KindName::Garbage => FaultKind::Garbage,
            KindName::Half => FaultKind::Half,
            KindName::Huge => FaultKind::Huge,
        };
        if line.times == Some(0) {
            return Err(FaultError::Times);
        }
        let percent = line.percent.unwrap_or(100);
        if !(1..=100).contains(&percent) {
            return Err(FaultError::Percent);
        }
        Ok(Self {
            target: line.api,
            kind,
            times: line.times,
            percent,
        })
    }
}

impl From<Fault> for FaultJson {
    fn from(fault: Fault) -> Self {
        let (kind, value) = match fault.kind {
            FaultKind::Errcode(errcode) => (KindName::Errcode, Some(errcode)),
            FaultKind::Status(status) => (KindName::Status, Some(status.as_u16().into())),
            FaultKind::Slow(delay) => (KindName::Slow, i64::try_from(delay.as_millis()).ok()),
            FaultKind::Hang => (KindName::Hang, None),
            FaultKind::Reset => (KindName::Reset, None),
            FaultKind::Garbage => (KindName::Garbage, None),
            FaultKind::Half => (KindName::Half, None),
            FaultKind::Huge => (KindName::Huge, None),
        };
        Self {
            api: fault.target,
            kind,
            value,
            times: fault.times,
            percent: (fault.percent != 100).then_some(fault.percent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_json() {
        for line in [
            r#"{"api":"create","kind":"errcode","value":-1,"times":2,"percent":30}"#,
            r#"{"api":"any","kind":"status","value":502}"#,
            r#"{"api":"token","kind":"slow","value":1500}"#,
            r#"{"api":"show","kind":"reset","times":1}"#,
        ] {
            let fault: Fault = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&fault).unwrap(), line);
        }
    }

    #[test]
    fn json_that_is_no_fault_gets_the_reason() {
        for (line, want) in [
            (
                r#"{"api":"any","kind":"errcode"}"#,
                "needs a value: the errcode",
            ),
            (
                r#"{"api":"any","kind":"errcode","value":0}"#,
                "needs a value: the errcode",
            ),
            (r#"{"api":"any","kind":"status","value":100}"#, "200 to 599"),
            (
                r#"{"api":"any","kind":"status","value":65736}"#,
                "200 to 599",
            ),
            (r#"{"api":"any","kind":"slow","value":-1}"#, "milliseconds"),
            (
                r#"{"api":"any","kind":"slow","value":600001}"#,
                "milliseconds",
            ),
            (r#"{"api":"any","kind":"hang","times":0}"#, "times"),
            (r#"{"api":"any","kind":"hang","percent":0}"#, "percent"),
            (r#"{"api":"any","kind":"hang","percent":101}"#, "percent"),
            (r#"{"api":"all","kind":"hang"}"#, "unknown variant"),
            (r#"{"api":"any","kind":"hang","time":1}"#, "unknown field"),
            (r#"{"kind":"hang"}"#, "missing field"),
        ] {
            let error = serde_json::from_str::<Fault>(line).unwrap_err().to_string();
            assert!(error.contains(want), "line {line}, error {error}");
        }
    }

    #[test]
    fn times_are_spent_by_firing_and_a_share_is_spread_evenly() {
        let hang = Fault::new(Target::Create, FaultKind::Hang);
        for (fault, want) in [
            (hang, "xxxxxxxxxx"),
            (hang.times(2), "xx........"),
            (hang.percent(50), ".x.x.x.x.x"),
            (hang.percent(30), "...x..x..x"),
            (hang.percent(50).times(2), ".x.x......"),
        ] {
            let mut faults = Faults::default();
            faults.set(vec![fault]);
            let got: String = (0..10)
                .map(|_| {
                    if faults.next(Api::Create).is_some() {
                        'x'
                    } else {
                        '.'
                    }
                })
                .collect();
            assert_eq!(got, want, "{fault:?}");
        }
    }

    #[test]
    fn the_first_fault_that_applies_fires_and_a_spent_one_is_gone() {
        let mut faults = Faults::default();
        faults.set(vec![
            Fault::new(Target::Token, FaultKind::Reset),
            Fault::new(Target::Create, FaultKind::Hang).times(1),
            Fault::new(Target::Any, FaultKind::Half),
        ]);
        assert_eq!(faults.next(Api::Create), Some(FaultKind::Hang));
        assert_eq!(faults.next(Api::Create), Some(FaultKind::Half));
        assert_eq!(faults.next(Api::Token), Some(FaultKind::Reset));
        assert_eq!(faults.list().len(), 2);
    }
}
