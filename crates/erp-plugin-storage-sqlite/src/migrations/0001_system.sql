-- The system's own tables. An entity's table is called <plugin>__<entity>; none of these has a double underscore.
-- Times are microseconds since 1970, ids 16 bytes, hashes 32.

-- One row: which release's tables these are, and the oldest release that can work with them.
CREATE TABLE system_schema (
    version INTEGER NOT NULL,
    oldest_host INTEGER NOT NULL
) STRICT;

CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended'))
) STRICT, WITHOUT ROWID;

-- The ledger: which schema each entity's table is at, as canonical JSON, and by which version of its plugin.
CREATE TABLE entities (
    table_name TEXT NOT NULL PRIMARY KEY,
    plugin TEXT NOT NULL,
    entity TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('declared', 'dynamic')),
    definition TEXT,
    version TEXT,
    CHECK ((definition IS NULL) = (kind = 'dynamic'))
) STRICT, WITHOUT ROWID;
CREATE INDEX entities_of_plugin ON entities (plugin, entity);

-- What was put aside: a column of an entity's table, or, where `field` is absent, a whole table.
CREATE TABLE archives (
    table_name TEXT NOT NULL,
    kept_as TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    plugin TEXT NOT NULL,
    entity TEXT NOT NULL,
    field TEXT,
    definition TEXT,
    version TEXT,
    PRIMARY KEY (table_name, kept_as)
) STRICT, WITHOUT ROWID;

-- Tables whose records are being moved: the step, and the columns that were added for it.
CREATE TABLE schema_moves (
    table_name TEXT NOT NULL PRIMARY KEY,
    step TEXT NOT NULL,
    columns TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Records that were written while they were moved.
CREATE TABLE schema_notes (
    table_name TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (table_name, tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE components (
    hash BLOB NOT NULL PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;

CREATE TABLE plugin_versions (
    installation INTEGER PRIMARY KEY,
    plugin TEXT NOT NULL,
    version TEXT NOT NULL,
    component BLOB NOT NULL,
    manifest BLOB,
    granted BLOB NOT NULL,
    installed_at INTEGER NOT NULL,
    UNIQUE (plugin, version)
) STRICT;

CREATE TABLE active_versions (
    plugin TEXT NOT NULL PRIMARY KEY,
    version TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: another number whenever what is installed changes.
CREATE TABLE registry (
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO registry VALUES (0);

-- Where each plugin stands in each tenant: at which version, and whether it is out of use until some moment because it
-- kept failing.
CREATE TABLE activations (
    tenant_id TEXT NOT NULL,
    plugin TEXT NOT NULL,
    version TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    tenant_told INTEGER NOT NULL,
    pinned INTEGER NOT NULL,
    quarantined_since INTEGER,
    quarantined_until INTEGER,
    quarantine_times INTEGER,
    quarantine_error TEXT,
    PRIMARY KEY (tenant_id, plugin)
) STRICT, WITHOUT ROWID;
CREATE INDEX activations_enabled ON activations (plugin, tenant_id) WHERE enabled = 1;

CREATE TABLE subscriptions (
    tenant_id TEXT NOT NULL,
    plugin TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    pattern TEXT NOT NULL,
    own_events INTEGER NOT NULL,
    key_field TEXT,
    PRIMARY KEY (tenant_id, plugin, ordinal)
) STRICT, WITHOUT ROWID;

-- What the platform's own subscribers get of every tenant.
CREATE TABLE platform_subscriptions (
    subscriber TEXT NOT NULL,
    pattern TEXT NOT NULL,
    PRIMARY KEY (subscriber, pattern)
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_config (
    tenant_id TEXT NOT NULL,
    plugin TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (tenant_id, plugin, key)
) STRICT, WITHOUT ROWID;

-- What a role gives: permissions and patterns of them, with a space between two.
CREATE TABLE roles (
    tenant_id TEXT NOT NULL,
    role TEXT NOT NULL,
    permissions TEXT NOT NULL,
    PRIMARY KEY (tenant_id, role)
) STRICT, WITHOUT ROWID;

CREATE TABLE role_assignments (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, role)
) STRICT, WITHOUT ROWID;
CREATE INDEX role_assignments_role ON role_assignments (tenant_id, role);

-- The last number that was given of each series; `field` is the field's column.
CREATE TABLE number_series (
    tenant_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    field TEXT NOT NULL,
    series TEXT NOT NULL,
    last_number INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, entity, field, series)
) STRICT, WITHOUT ROWID;

CREATE TABLE system_config (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Events as published. Rows come in the order of the commits, because there is one writer. The platform's own code may
-- write them too, in a transaction of its own; tenant_id, event_type, key and payload are enough.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    id BLOB NOT NULL DEFAULT (randomblob(16)) CHECK (length(id) = 16),
    event_type TEXT NOT NULL CHECK (
        length(event_type) <= 128 AND event_type GLOB '?*.?*' AND event_type NOT GLOB '*[^a-z0-9_.-]*'
        AND event_type NOT GLOB '.*' AND event_type NOT GLOB '*.' AND event_type NOT GLOB '*..*'
        AND event_type NOT GLOB '*.*.*.*.*.*.*.*.*'
    ),
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    publisher TEXT NOT NULL DEFAULT 'core',
    invocation BLOB NOT NULL DEFAULT (randomblob(16)) CHECK (length(invocation) = 16),
    ordinal INTEGER NOT NULL DEFAULT 0,
    caused_by TEXT,
    parent BLOB,
    depth INTEGER NOT NULL DEFAULT 0,
    published_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    numbered INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_unnumbered ON outbox (tenant_id, seq) WHERE numbered = 0;
CREATE UNIQUE INDEX outbox_id ON outbox (tenant_id, id);
CREATE INDEX outbox_published ON outbox (published_at) WHERE numbered = 1;

-- Where each stream (tenant, plugin, key) stands. `head_event` is the outbox row of its first pending delivery, absent
-- when none is; `claimed_by` the worker that has it in hand; `retry_at` when its head is to be tried again, which failed
-- at `failed_at`.
CREATE TABLE streams (
    tenant_id TEXT NOT NULL,
    plugin TEXT NOT NULL,
    key TEXT NOT NULL,
    last_number INTEGER NOT NULL,
    head_event INTEGER,
    token INTEGER NOT NULL,
    claimed_by BLOB,
    retry_at INTEGER,
    failed_at INTEGER,
    PRIMARY KEY (tenant_id, plugin, key)
) STRICT, WITHOUT ROWID;
-- Whatever is asked of it is in it, so that nobody looks at the streams behind.
CREATE INDEX streams_waiting ON streams (tenant_id, head_event, plugin, key, claimed_by, retry_at)
    WHERE head_event IS NOT NULL AND claimed_by IS NULL AND retry_at IS NULL;
CREATE INDEX streams_claimed ON streams (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX streams_retry ON streams (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX streams_failed ON streams (failed_at) WHERE retry_at IS NOT NULL;

CREATE TABLE deliveries (
    tenant_id TEXT NOT NULL,
    plugin TEXT NOT NULL,
    key TEXT NOT NULL,
    number INTEGER NOT NULL,
    event INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'done', 'dead', 'dropped')),
    token INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    last_error TEXT,
    failed_at INTEGER,
    PRIMARY KEY (tenant_id, plugin, key, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_pending ON deliveries (tenant_id, plugin, key, number) WHERE status = 'pending';
CREATE INDEX deliveries_dead ON deliveries (event, tenant_id, plugin) WHERE status = 'dead';
CREATE INDEX deliveries_event ON deliveries (event);

-- The jobs of a tenant's plugins: until when each is planned, and when it is to be planned again.
CREATE TABLE jobs (
    tenant_id TEXT NOT NULL,
    plugin TEXT NOT NULL,
    job TEXT NOT NULL,
    schedule TEXT,
    planned_until INTEGER NOT NULL,
    plan_at INTEGER,
    PRIMARY KEY (tenant_id, plugin, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_due ON jobs (plan_at) WHERE plan_at IS NOT NULL;

-- What became of each occasion of a job. One that waits has been attempted or not, and `claimed_by` is the worker that has
-- it in hand; it may begin at `due_at`, having failed at `failed_at`.
CREATE TABLE job_runs (
    tenant_id TEXT NOT NULL,
    plugin TEXT NOT NULL,
    job TEXT NOT NULL,
    occasion INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('cron', 'one-off')),
    id BLOB NOT NULL,
    payload TEXT,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'failed', 'skipped')),
    token INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    claimed_by BLOB,
    note TEXT,
    failed_at INTEGER,
    began_at INTEGER,
    ended_at INTEGER,
    PRIMARY KEY (tenant_id, plugin, job, occasion, kind),
    CHECK (claimed_by IS NULL OR state = 'waiting')
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX job_runs_id ON job_runs (tenant_id, id);
CREATE INDEX job_runs_latest ON job_runs (tenant_id, occasion);
CREATE INDEX job_runs_due ON job_runs (due_at) WHERE state = 'waiting' AND claimed_by IS NULL;
CREATE INDEX job_runs_waiting ON job_runs (tenant_id, plugin, job, occasion, kind) WHERE state = 'waiting';
-- Runs of one job never overlap.
CREATE UNIQUE INDEX job_runs_in_hand ON job_runs (tenant_id, plugin, job) WHERE claimed_by IS NOT NULL;
CREATE INDEX job_runs_claimed ON job_runs (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX job_runs_ended ON job_runs (ended_at) WHERE ended_at IS NOT NULL;

-- One row: the tenants whose turn the last round of claims and of numbering ended with.
CREATE TABLE turns (
    claimed TEXT NOT NULL,
    numbered TEXT NOT NULL
) STRICT;
INSERT INTO turns VALUES ('', '');

-- Those who work off deliveries and runs of jobs, and their signs of life.
CREATE TABLE workers (
    id BLOB NOT NULL PRIMARY KEY,
    beat INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE invocations (
    tenant_id TEXT NOT NULL,
    id BLOB NOT NULL,
    plugin TEXT NOT NULL,
    plugin_version TEXT NOT NULL,
    trigger TEXT NOT NULL,
    caused_by TEXT,
    started_at INTEGER NOT NULL,
    error TEXT,
    fuel INTEGER NOT NULL,
    micros INTEGER NOT NULL,
    peak_memory INTEGER NOT NULL,
    host_calls INTEGER NOT NULL,
    rows_read INTEGER NOT NULL,
    rows_written INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    events INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

-- In the order in which it is read: a tenant's newest lines lie at its end.
CREATE TABLE log_lines (
    tenant_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    invocation BLOB NOT NULL,
    ordinal INTEGER NOT NULL,
    plugin TEXT NOT NULL,
    level INTEGER NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (tenant_id, at, invocation, ordinal)
) STRICT, WITHOUT ROWID;

-- Who did what about plugins and tenants. What was done to the platform has the tenant ''.
CREATE TABLE audit (
    tenant_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    id BLOB NOT NULL,
    done_by TEXT NOT NULL,
    action TEXT NOT NULL,
    plugin TEXT,
    before TEXT,
    after TEXT,
    detail TEXT,
    PRIMARY KEY (tenant_id, at, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_newest ON audit (at, id);

-- Who changed what: a record's changes lie together in their order. The verb is 0 insert, 1 update, 2 restore, 3 delete.
CREATE TABLE record_history (
    tenant_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    record BLOB NOT NULL,
    version INTEGER NOT NULL,
    verb INTEGER NOT NULL,
    at INTEGER NOT NULL,
    changed_by TEXT NOT NULL,
    caused_by TEXT,
    plugin TEXT,
    plugin_version TEXT,
    invocation BLOB NOT NULL,
    changes TEXT,
    PRIMARY KEY (tenant_id, entity, record, version, verb)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_history_newest ON record_history (tenant_id, entity, at, record, version, verb);

-- Makes SQLite's own table of statistics, which the tables of entities get their rows in.
ANALYZE system_schema;
