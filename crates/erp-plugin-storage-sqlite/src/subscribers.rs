//! [`Subscribers`]: what the platform's own get of every tenant.

use async_trait::async_trait;
use erp_plugin_model::PluginName;
use erp_plugin_model::event::EventPattern;
use erp_plugin_storage::{StorageResult, Subscribers};

use crate::names::{read_pattern, read_plugin};
use crate::transaction::SqlitePlatformTransaction;

#[async_trait]
impl Subscribers for SqlitePlatformTransaction {
    async fn subscribe(&mut self, subscriber: &PluginName, pattern: &EventPattern) -> StorageResult<bool> {
        self.session.write("subscribe", |connection| {
            let sql = "INSERT INTO platform_subscriptions (subscriber, pattern) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            Ok(connection.prepare_cached(sql)?.execute((subscriber.as_str(), pattern.as_str()))? > 0)
        })
    }

    async fn unsubscribe(&mut self, subscriber: &PluginName, pattern: &EventPattern) -> StorageResult<bool> {
        self.session.write("unsubscribe", |connection| {
            let sql = "DELETE FROM platform_subscriptions WHERE subscriber = ?1 AND pattern = ?2";
            Ok(connection.prepare_cached(sql)?.execute((subscriber.as_str(), pattern.as_str()))? > 0)
        })
    }

    async fn subscriptions(&mut self) -> StorageResult<Vec<(PluginName, EventPattern)>> {
        self.session.read("subscriptions", |connection| {
            let sql = "SELECT subscriber, pattern FROM platform_subscriptions ORDER BY subscriber, pattern";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(())?;
            let mut subscriptions = Vec::new();
            while let Some(row) = rows.next()? {
                subscriptions.push((read_plugin(row, 0)?, read_pattern(row, 1)?));
            }
            Ok(subscriptions)
        })
    }
}
