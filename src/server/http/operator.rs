//! Checks whether a request carries the operator's token.

use std::future::{Ready, ready};

use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, dev, web};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::context::Api;
use super::errors::ApiError;

/// An extractor for handlers that only the operator may use.
pub(crate) struct Operator;

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let api = request.app_data::<web::Data<Api>>();
        let token = api.and_then(|api| api.secrets.admin_token());
        let given = request.headers().get(AUTHORIZATION);
        let parts = given.and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()));
        let is_operator = match (token, parts) {
            (Some(token), Some((scheme, given))) => {
                // Compares digests in constant time. Comparing the texts would take longer the more
                // of them is right, and would reveal the length of the token.
                let is_same = Sha256::digest(token.expose()).ct_eq(&Sha256::digest(given));
                scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(is_same)
            }
            _ => false,
        };
        if is_operator {
            return ready(Ok(Self));
        }
        // A request without a token is not a guess, so it is not counted.
        let too_many = api
            .filter(|_| given.is_some())
            .and_then(|api| api.wrong_tokens.record());
        ready(Err(match too_many {
            Some(retry_after_secs) => ApiError::WrongTokens { retry_after_secs },
            None => ApiError::NotTheOperator,
        }))
    }
}
