//! Causes and remedies of failed calls to WeChat.

use std::error::Error;
use std::time::Duration;

use wechat::{ApiError, Class, Errcode};

use super::finding::Issue;
use crate::remedy;
use crate::telemetry::Causes;

pub(super) fn wechat_issue(error: &wechat::Error) -> Issue {
    match error {
        wechat::Error::Refused(refusal) => refused(refusal),
        wechat::Error::Unreachable(_) | wechat::Error::Timeout(_) => Issue::new(
            error.to_string(),
            "see the lines of the hosts, and try again: the network may be down",
        ),
        wechat::Error::Status(_)
        | wechat::Error::Body(_)
        | wechat::Error::TooLong
        | wechat::Error::Invalid(_) => Issue::new(
            error.to_string(),
            "try again; if it persists, something other than WeChat answers: check WXQR_API_BASE",
        ),
    }
}

fn refused(refusal: &ApiError) -> Issue {
    if let (Errcode(40164), Some(address)) = (refusal.errcode, refusal.address()) {
        return Issue::new(
            format!("WeChat does not allow the address {address} (errcode 40164)"),
            format!("add {address} to the account's IP allow-list in WeChat's console"),
        );
    }
    let remedy = match refusal.errcode.class() {
        Class::Busy => "try again in a minute",
        _ => remedy::for_errcode(refusal.errcode),
    };
    Issue::new(describe(refusal), remedy)
}

pub(super) fn describe(refusal: &ApiError) -> String {
    let errcode = refusal.errcode;
    format!("{} (errcode {errcode})", errcode.meaning())
}

pub(super) fn stopped(errcode: Errcode, retry_after: Duration) -> Issue {
    let seconds = retry_after.as_secs().max(1);
    Issue::new(
        format!(
            "{} (errcode {errcode}), so the next call is in {seconds} s",
            errcode.meaning()
        ),
        remedy::for_errcode(errcode),
    )
}

pub(super) fn defect(error: &dyn Error) -> Issue {
    Issue::new(
        Causes(error).to_string(),
        "try again; if it persists, report it as a bug of wxqr",
    )
}
