//! Callers with an API key, and the scope that a route requires of it.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;

use crate::access::{Caller, Key, Scope};
use crate::http::extract::authenticator::{Authenticator, Identity};
use crate::http::problem::{ErrorCode, Problem};

/// A caller with an API key, for routes where the scope depends on the body.
#[derive(Debug)]
pub(crate) struct KeyHolder(Caller);

impl KeyHolder {
    pub(crate) fn caller(&self) -> &Caller {
        &self.0
    }

    pub(crate) fn key(&self) -> &Key {
        self.0.key.as_ref().expect("a key holder has a key")
    }

    /// Requires a scope of the key.
    ///
    /// # Errors
    /// `scope_missing`.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.0.allows(scope) {
            return Ok(());
        }
        let message = format!("this needs a key with the scope \"{scope}\"");
        Err(Problem::new(ErrorCode::ScopeMissing, message))
    }
}

impl<S> FromRequestParts<S> for KeyHolder
where
    Arc<Authenticator>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let identity = Identity::from_request_parts(parts, state).await?;
        let caller = identity.without_link();
        if caller.key.is_some() {
            Ok(Self(caller))
        } else {
            let message = "this needs a key: \"Authorization: Bearer KEY\"";
            Err(Problem::new(ErrorCode::Unauthorized, message))
        }
    }
}

/// A scope as a type, for [`WithScope`].
pub(crate) trait RequiredScope {
    const SCOPE: Scope;
}

/// [`Scope::Stats`].
#[derive(Debug)]
pub(crate) struct Stats;

impl RequiredScope for Stats {
    const SCOPE: Scope = Scope::Stats;
}

/// [`Scope::Bind`].
#[derive(Debug)]
pub(crate) struct Bind;

impl RequiredScope for Bind {
    const SCOPE: Scope = Scope::Bind;
}

/// A caller whose key has the scope `R`.
#[derive(Debug)]
pub(crate) struct WithScope<R>(KeyHolder, PhantomData<R>);

impl<R> WithScope<R> {
    pub(crate) fn caller(&self) -> &Caller {
        self.0.caller()
    }
}

impl<R, S> FromRequestParts<S> for WithScope<R>
where
    R: RequiredScope,
    Arc<Authenticator>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let holder = KeyHolder::from_request_parts(parts, state).await?;
        holder.require(R::SCOPE)?;
        Ok(Self(holder, PhantomData))
    }
}
