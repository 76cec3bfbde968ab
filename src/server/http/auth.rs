//! Proving a key, without doing anything else.

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};

use super::context::Api;
use super::errors::ApiError;
use super::no_store::NoStore;
use super::sender::Sender;
use crate::protocol::authentication::PROTOCOL_ID;
use crate::protocol::{AuthResponse, paths};
use crate::server::registry::RegistryError;

/// `/auth`, with any method.
pub(crate) async fn prove(
    api: web::Data<Api>,
    sender: Sender,
) -> Result<NoStore<AuthResponse>, ApiError> {
    if !api.authentication.is_on() {
        return Err(ApiError::NoSuchPath);
    }
    let proven = sender.proven();
    let proven = proven.ok_or(RegistryError::AuthenticationRequired)?;
    Ok(NoStore(AuthResponse {
        success: true,
        peer_id: proven.names.peer_id().clone(),
        expires_at: proven.expires_at_ms,
    }))
}

/// `GET /.well-known/libp2p/protocols`
pub(crate) async fn list_protocols(api: web::Data<Api>) -> HttpResponse {
    let protocols = match api.authentication.is_on() {
        true => serde_json::json!({ PROTOCOL_ID: { "path": paths::AUTH } }),
        false => serde_json::json!({}),
    };
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(protocols.to_string())
}
