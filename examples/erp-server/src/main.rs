//! A platform's own server that runs plugins: an axum application, its event bus, and the plugin host in one process.
//!
//!     erp-server sqlite:erp.db inventory.component.wasm purchasing.component.wasm
//!
//! It listens at `ADDRESS`, or at any free port of 127.0.0.1. Who somebody is, a platform knows; here headers say so.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use erp_plugin::{
    ErrorCode, HostFailure, Identity, InstallOptions, PluginHost, Received, RolePermissions, TenantId, UserId,
};
use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::broadcast;

const TENANT: &str = "acme";
type Bus = State<Arc<EventBus>>;

/// The platform's event bus. What is published goes into the host's outbox, so that plugins get it however often this
/// process is stopped; what the platform and its plugins publish is told to whoever of this process listens.
struct EventBus {
    host: PluginHost,
    listeners: broadcast::Sender<Value>,
}

impl EventBus {
    async fn new(host: PluginHost) -> Result<Self, HostFailure> {
        let listeners = broadcast::Sender::new(256);
        let told = listeners.clone();
        let tell = move |event: &Received| {
            let data: Value = serde_json::from_str(&event.payload).unwrap_or_default();
            // Nobody may be listening.
            drop(told.send(json!({ "type": event.event_type.as_str(), "data": data })));
        };
        host.subscribe("*", move |_, event| {
            tell(event);
            Box::pin(async { Ok(()) })
        })
        .await?;
        Ok(Self { host, listeners })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let database =
        arguments.next().ok_or_else(|| anyhow::anyhow!("usage: erp-server DATABASE COMPONENT…"))?;
    let roles = RolePermissions::new().grant("clerk", ["inventory.*", "purchasing.*"]);
    let host = erp_plugin::host(database.as_str())
        .await?
        .runtime(tokio::runtime::Handle::current())
        .authorizer(roles)
        .build()
        .await?;
    host.create_tenant(TENANT).await?;
    for file in arguments {
        let plugin = host.install(std::fs::read(&file)?, InstallOptions::default()).await?;
        host.enable(TENANT, plugin.name.as_str()).await?;
    }
    let bus = Arc::new(EventBus::new(host).await?);
    let worker = bus.host.start_worker();

    let app = Router::new()
        .route("/orders", post(order))
        .route("/events", get(events))
        .route("/records/{entity}", get(records).post(insert))
        .with_state(Arc::clone(&bus));
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        served = axum::serve(listener, app) => served?,
        stopped = tokio::signal::ctrl_c() => stopped?,
        _ = terminated.recv() => {}
    }
    println!("{} deliveries handled", worker.stop().await?.delivered);
    Ok(())
}

/// Somebody places an order; what plugins make of it, they say in events.
async fn order(State(bus): Bus, headers: HeaderMap, Json(order): Json<Value>) -> Result<StatusCode, Refusal> {
    bus.host.publish(identity(&headers)?, "order.created", &order).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn events(State(bus): Bus) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // Who is too slow is cut off, and begins again.
    Sse::new(stream::unfold(bus.listeners.subscribe(), |mut listener| async move {
        let event = listener.recv().await.ok()?;
        Some((Ok(Event::default().data(event.to_string())), listener))
    }))
}

async fn records(
    State(bus): Bus,
    headers: HeaderMap,
    Path(entity): Path<String>,
) -> Result<Json<Value>, Refusal> {
    Ok(Json(bus.host.records(identity(&headers)?).query(&entity, &json!({}), &json!({})).await?))
}

async fn insert(
    State(bus): Bus,
    headers: HeaderMap,
    Path(entity): Path<String>,
    Json(record): Json<Value>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    Ok((StatusCode::CREATED, Json(bus.host.records(identity(&headers)?).insert(&entity, &record).await?)))
}

fn identity(headers: &HeaderMap) -> Result<Identity, HostFailure> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let user = UserId::parse(header("x-user").unwrap_or("guest"))?;
    let roles = header("x-role").into_iter().map(str::to_owned).collect();
    Ok(Identity { roles, ..Identity::user(TenantId::parse(TENANT)?, user) })
}

/// An error of the host, as a status and one JSON object.
struct Refusal(HostFailure);

impl From<HostFailure> for Refusal {
    fn from(failure: HostFailure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = self.0.code();
        let status = match code {
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::InvalidInput => StatusCode::BAD_REQUEST,
            ErrorCode::PermissionDenied => StatusCode::FORBIDDEN,
            ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::CONFLICT,
        };
        (status, Json(json!({ "code": code.as_str(), "message": self.0.to_string() }))).into_response()
    }
}
