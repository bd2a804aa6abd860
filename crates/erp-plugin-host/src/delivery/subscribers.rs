//! Subscribers of the platform's own: functions in this process, with the guarantees that plugins have.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use erp_plugin_host_api::{CallResult, Invocation};
use erp_plugin_model::event::{Delivery, EventPattern, Publisher};
use erp_plugin_model::{ErrorCode, HostError, PluginName, UserId};
use erp_plugin_storage::{AuditEntry, PlatformTransaction};

use crate::error::HostResult;
use crate::host::Inner;

/// What a handler of the platform's own returns: `Box::pin(async move { … })`.
pub type HandlerFuture<'i> = Pin<Box<dyn Future<Output = CallResult<()>> + Send + 'i>>;

/// What a subscriber of the platform's own does with an event.
pub(crate) type Handler =
    Arc<dyn for<'i> Fn(&'i mut Invocation, &'i Received) -> HandlerFuture<'i> + Send + Sync>;

/// An event that a subscriber of the platform's own receives.
pub type Received = Delivery;

/// The handlers of this process, by subscriber.
#[derive(Default)]
pub(crate) struct Subscribed {
    handlers: RwLock<HashMap<PluginName, Vec<Subscription>>>,
    /// What is subscribed to without a handler here, as it was told last.
    told: Mutex<Vec<(PluginName, EventPattern)>>,
}

/// What one handler handles.
struct Subscription {
    pattern: EventPattern,
    handler: Handler,
}

impl Subscribed {
    /// Whether there are handlers here.
    fn is_empty(&self) -> bool {
        self.handlers.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The subscribers that have a handler here for everything they subscribe to. For another one's events whoever has all
    /// of its handlers is waited for: what this process does not handle would be lost here.
    fn complete(&self, subscriptions: Vec<(PluginName, EventPattern)>) -> Vec<PluginName> {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        let is_missing = |(name, pattern): &(PluginName, EventPattern)| {
            handlers.get(name).is_some_and(|own| own.iter().all(|own| own.pattern != *pattern))
        };
        let missing: Vec<_> = subscriptions.into_iter().filter(is_missing).collect();
        let is_complete = |name: &&PluginName| missing.iter().all(|(own, _)| own != *name);
        let complete = handlers.keys().filter(is_complete).cloned().collect();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != missing {
            for (name, pattern) in &missing {
                let pattern = pattern.as_str();
                tracing::warn!(subscriber = %name, pattern, "there is no handler here for what is subscribed to: the subscriber's events wait for a process that has all its handlers");
            }
            *told = missing;
        }
        complete
    }

    /// What a subscriber does with an event; `None` for one that has nothing here.
    pub(crate) fn of(&self, delivery: &Delivery) -> Option<Vec<Handler>> {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        let of_subscriber = handlers.get(&delivery.plugin)?.iter();
        let meant = of_subscriber.filter(|own| own.pattern.matches(&delivery.event_type));
        Some(meant.map(|own| Arc::clone(&own.handler)).collect())
    }

    fn add(&self, name: &PluginName, pattern: &EventPattern, handler: Handler) -> bool {
        let mut handlers = self.handlers.write().unwrap_or_else(PoisonError::into_inner);
        let of_subscriber = handlers.entry(name.clone()).or_default();
        let is_new = of_subscriber.iter().all(|own| own.pattern != *pattern);
        if is_new {
            of_subscriber.push(Subscription { pattern: pattern.clone(), handler });
        }
        is_new
    }

    fn remove(&self, name: &PluginName, pattern: &EventPattern) {
        let mut handlers = self.handlers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_subscriber) = handlers.get_mut(name) {
            of_subscriber.retain(|own| own.pattern != *pattern);
            if of_subscriber.is_empty() {
                handlers.remove(name);
            }
        }
    }
}

impl Inner {
    /// The subscribers whose events this process may claim.
    pub(super) async fn subscribers_here(
        &self,
        platform: &mut dyn PlatformTransaction,
    ) -> HostResult<Vec<PluginName>> {
        if self.subscribed.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.subscribed.complete(platform.subscriptions().await?))
    }

    pub(crate) async fn subscribe(
        &self,
        by: &UserId,
        name: &str,
        pattern: &str,
        handler: Handler,
    ) -> HostResult<()> {
        let (name, pattern) = (subscriber(name)?, parse(pattern)?);
        if !self.subscribed.add(&name, &pattern, handler) {
            let pattern = pattern.as_str();
            return Err(HostError::new(
                ErrorCode::AlreadyExists,
                format!(
                    "{name} has a handler for {pattern}; give this one a name of its own, such as core-mail"
                ),
            )
            .into());
        }
        let kept = async {
            let mut platform = self.change_platform().await?;
            if platform.subscribe(&name, &pattern).await? {
                platform
                    .note_platform_audit(&self.subscription(by, "platform.subscribed", &name, &pattern))
                    .await?;
            }
            Ok(platform.commit().await?)
        };
        let kept = kept.await;
        if kept.is_err() {
            self.subscribed.remove(&name, &pattern);
        }
        kept
    }

    pub(crate) async fn unsubscribe(&self, by: &UserId, name: &str, pattern: &str) -> HostResult<bool> {
        let (name, pattern) = (subscriber(name)?, parse(pattern)?);
        let mut platform = self.change_platform().await?;
        let removed = platform.unsubscribe(&name, &pattern).await?;
        if removed {
            platform
                .note_platform_audit(&self.subscription(by, "platform.unsubscribed", &name, &pattern))
                .await?;
        }
        platform.commit().await?;
        self.subscribed.remove(&name, &pattern);
        Ok(removed)
    }

    fn subscription(
        &self,
        by: &UserId,
        action: &str,
        name: &PluginName,
        pattern: &EventPattern,
    ) -> AuditEntry {
        let detail = Some(format!("{name}: {}", pattern.as_str()));
        AuditEntry { detail, ..self.done(by, action) }
    }
}

fn subscriber(name: &str) -> HostResult<PluginName> {
    if name.split('-').next() != Some(Publisher::PLATFORM) {
        return Err(HostError::invalid(format!(
            "subscriber {name:?} must be `core` or begin with `core-`: other names are plugins'"
        ))
        .into());
    }
    Ok(PluginName::parse(name)?)
}

fn parse(pattern: &str) -> HostResult<EventPattern> {
    EventPattern::parse(pattern)
        .map_err(|rule| HostError::invalid(format!("event {pattern:?} must be {rule}")).into())
}
