//! A refusal of WeChat that lasts until the account's owner does something, such as a wrong secret.

use std::sync::{Mutex, MutexGuard};

use jiff::Timestamp;
use wechat::{Api, ApiError, Errcode};

use crate::telemetry;

/// WeChat's last refusal that lasts until the account's owner does something, such as a wrong
/// secret. It is a record for health checks and metrics, and stops no call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountFault {
    /// When WeChat refused last.
    pub at: Timestamp,
    pub refusal: ApiError,
}

impl AccountFault {
    /// Whether a call that succeeds shows that the fault is over. A token that is granted says
    /// nothing about the permission to create codes.
    fn is_ended_by(&self, api: Api) -> bool {
        api == Api::Create || !matches!(self.refusal.errcode, Errcode(48001 | 48004))
    }
}

/// The last fault of the account, for health checks and metrics. It stops no call; a call that
/// succeeds in spite of it ends it.
#[derive(Debug, Default)]
pub(super) struct LastAccountFault(Mutex<Option<AccountFault>>);

impl LastAccountFault {
    pub(super) fn get(&self) -> Option<AccountFault> {
        self.lock().clone()
    }

    pub(super) fn begin(&self, at: Timestamp, refusal: &ApiError) {
        let fault = AccountFault {
            at,
            refusal: refusal.clone(),
        };
        if let Some(before) = self.lock().replace(fault) {
            telemetry::account_fault(before.refusal.errcode.0, false);
        }
        telemetry::account_fault(refusal.errcode.0, true);
    }

    pub(super) fn end_by(&self, api: Api) {
        if let Some(ended) = self.lock().take_if(|fault| fault.is_ended_by(api)) {
            telemetry::account_fault(ended.refusal.errcode.0, false);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<AccountFault>> {
        self.0
            .lock()
            .expect("no one panics while holding the fault")
    }
}
