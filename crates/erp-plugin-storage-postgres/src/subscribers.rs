//! [`Subscribers`]: what the platform's own get of every tenant.

use async_trait::async_trait;
use erp_plugin_model::PluginName;
use erp_plugin_model::event::EventPattern;
use erp_plugin_storage::{StorageResult, Subscribers};

use crate::names::{read_pattern, read_plugin};
use crate::sql::Parameter;
use crate::transaction::PostgresPlatformTransaction;

#[async_trait]
impl Subscribers for PostgresPlatformTransaction {
    async fn subscribe(&mut self, subscriber: &PluginName, pattern: &EventPattern) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let sql = "INSERT INTO erp_plugin.platform_subscriptions (subscriber, pattern) VALUES ($1, $2)
                 ON CONFLICT DO NOTHING";
            let subscription = [Parameter::Text(subscriber.as_str()), Parameter::Text(pattern.as_str())];
            Ok(client.execute(sql, &subscription).await? > 0)
        };
        self.session.write("subscribe", work).await
    }

    async fn unsubscribe(&mut self, subscriber: &PluginName, pattern: &EventPattern) -> StorageResult<bool> {
        let client = self.session.client();
        let work = async {
            let sql = "DELETE FROM erp_plugin.platform_subscriptions WHERE subscriber = $1 AND pattern = $2";
            let subscription = [Parameter::Text(subscriber.as_str()), Parameter::Text(pattern.as_str())];
            Ok(client.execute(sql, &subscription).await? > 0)
        };
        self.session.write("unsubscribe", work).await
    }

    async fn subscriptions(&mut self) -> StorageResult<Vec<(PluginName, EventPattern)>> {
        let client = self.session.client();
        let work = async {
            let sql = "SELECT subscriber, pattern FROM erp_plugin.platform_subscriptions ORDER BY subscriber, pattern";
            let rows = client.rows(sql, &[]).await?;
            rows.iter().map(|row| Ok((read_plugin(row, 0)?, read_pattern(row, 1)?))).collect()
        };
        self.session.run("subscriptions", work).await
    }
}
