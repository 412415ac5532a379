//! What stands in a path in place of a name.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::serve::error::Error;

/// The names in a path, one or several; 400 if they are no text.
pub(in crate::serve) struct Named<T>(pub(in crate::serve) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let found = Path::from_request_parts(parts, state).await;
        let Path(names) = found.map_err(|_| Error::bad_request("The path is no text in UTF-8"))?;
        Ok(Self(names))
    }
}
