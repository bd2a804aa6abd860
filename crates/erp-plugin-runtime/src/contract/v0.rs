//! Contract v0: byte lists of JSON, errors as `code: message`.

use erp_plugin_host_api::{CallError, CallResult};
use erp_plugin_wit::v0::erp::plugin::host_api;
use erp_plugin_wit::v0::exports::erp::plugin::plugin_api::{Guest, GuestIndices};
use wasmtime::Store;
use wasmtime::component::{HasSelf, Instance};

use super::{Answer, BoundExports, Contract, Export, GuestExports};
use crate::interface::Interface;
use crate::state::HostState;

pub(super) const CONTRACT: Contract = Contract {
    name: "0",
    exports: (
        "erp:plugin/plugin-api",
        &[
            ("init", "func() -> result<_, string>"),
            ("on-tenant-created", "func(tenant-id: string) -> result<_, string>"),
            ("handle-event", "func(event-type: string, payload: list<u8>) -> result<_, string>"),
        ],
    ),
    probe: |pre| Ok(Box::new(GuestIndices::new(pre)?)),
};

pub(super) fn host_api() -> Interface {
    let functions = [
        "db-insert",
        "db-query",
        "db-update",
        "db-delete",
        "event-publish",
        "config-get",
        "log-write",
        "current-user",
        "check-permission",
    ];
    Interface::new("erp:plugin/host-api", functions, |linker| {
        host_api::add_to_linker::<HostState, HasSelf<HostState>>(linker, |state| state)
    })
}

/// An answerable error is the guest's to read, a fatal one traps.
fn answer<T>(result: CallResult<T>) -> wasmtime::Result<Result<T, String>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(CallError::Answer(error)) => Ok(Err(error.to_string())),
        Err(CallError::Fatal(fatal)) => Err(fatal.into()),
    }
}

impl host_api::Host for HostState {
    async fn db_insert(
        &mut self,
        entity: String,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.invocation.insert(&entity, &data).await)
    }

    async fn db_query(
        &mut self,
        entity: String,
        filter: Vec<u8>,
        pagination: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.invocation.query(&entity, &filter, &pagination).await)
    }

    async fn db_update(
        &mut self,
        entity: String,
        id: String,
        data: Vec<u8>,
        version: i64,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.invocation.update(&entity, &id, &data, version).await)
    }

    async fn db_delete(&mut self, entity: String, id: String) -> wasmtime::Result<Result<(), String>> {
        answer(self.invocation.delete(&entity, &id).await)
    }

    async fn event_publish(
        &mut self,
        event_type: String,
        payload: Vec<u8>,
    ) -> wasmtime::Result<Result<(), String>> {
        answer(self.invocation.publish(&event_type, &payload).await)
    }

    fn config_get(&mut self, key: String) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.invocation.config_get(&key))
    }

    fn log_write(&mut self, level: String, message: String) -> wasmtime::Result<()> {
        match self.invocation.log(&level, &message) {
            // The call has no answer to give.
            Ok(()) | Err(CallError::Answer(_)) => Ok(()),
            Err(CallError::Fatal(fatal)) => Err(fatal.into()),
        }
    }

    fn current_user(&mut self) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.invocation.current_user())
    }

    fn check_permission(&mut self, permission: String) -> wasmtime::Result<Result<bool, String>> {
        answer(self.invocation.check_permission(&permission))
    }
}

impl GuestExports for GuestIndices {
    fn bind(
        &self,
        store: &mut Store<HostState>,
        instance: &Instance,
    ) -> wasmtime::Result<Box<dyn BoundExports>> {
        Ok(Box::new(self.load(store, instance)?))
    }
}

impl BoundExports for Guest {
    fn call<'a>(&'a mut self, store: &'a mut Store<HostState>, export: &'a Export) -> Answer<'a> {
        Box::pin(async move {
            match export {
                Export::Init => self.call_init(store).await,
                Export::OnTenantCreated { tenant_id } => self.call_on_tenant_created(store, tenant_id).await,
                Export::HandleEvent { event_type, payload } => {
                    self.call_handle_event(store, event_type, payload.as_bytes()).await
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    /// The registered functions are those of the released contract, no more and no less.
    #[test]
    fn the_registered_functions_are_those_of_the_wit() {
        let wit = include_str!("../../../../wit/v0/plugin.wit");
        let interface = wit.split("interface host-api").nth(1).unwrap().split('}').next().unwrap();
        let declared: Vec<&str> = interface
            .lines()
            .filter_map(|line| line.trim().split_once(": func").map(|(name, _)| name))
            .collect();
        assert_eq!(super::host_api().functions(), declared);
    }

    #[test]
    fn the_exports_are_those_of_the_wit() {
        let wit = include_str!("../../../../wit/v0/plugin.wit");
        let interface = wit.split("interface plugin-api").nth(1).unwrap().split('}').next().unwrap();
        let declared: Vec<(&str, &str)> = interface
            .lines()
            .filter_map(|line| line.trim().strip_suffix(';')?.split_once(": "))
            .filter(|(_, kind)| kind.starts_with("func"))
            .collect();
        assert_eq!(super::CONTRACT.exports.1, declared);
    }
}
