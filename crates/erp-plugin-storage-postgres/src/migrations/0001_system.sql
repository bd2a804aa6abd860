-- The system's own tables, in a schema of their own. An entity's table is called <plugin>__<entity>; none of these has
-- a double underscore. Run as the owner; {app} and {worker} stand for the quoted names of the other two roles.
--
-- No sequences, no advisory locks, no foreign keys, and tenant_id first in every key of what belongs to a tenant: the
-- same statements work where tables are split by tenant.

-- Which tenant the transaction is in. Fails where none was set: after one SET LOCAL the setting reads as '', so that
-- an absent one and a forgotten one are the same.
CREATE FUNCTION erp_plugin.current_tenant() RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    tenant text := pg_catalog.current_setting('erp_plugin.tenant', true);
BEGIN
    IF tenant IS NULL OR tenant OPERATOR(pg_catalog.=) '' THEN
        RAISE EXCEPTION 'no tenant is set' USING ERRCODE = 'ER001';
    END IF;
    RETURN tenant;
END
$$;

-- A value inside a dynamic entity's document, if it is of that type; what is compared is never cast blindly.
CREATE FUNCTION erp_plugin.json_text(value jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN pg_catalog.jsonb_typeof(value) = 'string' THEN value #>> '{}' END
$$;
CREATE FUNCTION erp_plugin.json_boolean(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN pg_catalog.jsonb_typeof(value) = 'boolean' THEN value::boolean END
$$;
-- A 64-bit integer as it is, any other number as the floating-point number that it is read as.
CREATE FUNCTION erp_plugin.json_number(value jsonb) RETURNS numeric LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN pg_catalog.jsonb_typeof(value) <> 'number' THEN NULL
        WHEN value::numeric = trunc(value::numeric)
            AND value::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN value::numeric
        ELSE value::numeric::double precision::text::numeric
    END
$$;

-- One row: which release's tables these are, the oldest release that can work with them, and how they were set up.
CREATE TABLE erp_plugin.system_schema (
    version bigint NOT NULL,
    oldest_host bigint NOT NULL,
    owner_role text NOT NULL,
    app_role text NOT NULL,
    worker_role text NOT NULL,
    partitions bigint NOT NULL
);

CREATE TABLE erp_plugin.tenants (
    id text COLLATE "C" NOT NULL PRIMARY KEY,
    created_at timestamptz NOT NULL,
    state text COLLATE "C" NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended'))
);

-- The ledger: which schema each entity's table is at, as canonical JSON, and by which version of its plugin.
CREATE TABLE erp_plugin.entities (
    table_name text COLLATE "C" NOT NULL PRIMARY KEY,
    plugin text COLLATE "C" NOT NULL,
    entity text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('declared', 'dynamic')),
    definition text,
    version text,
    CHECK ((definition IS NULL) = (kind = 'dynamic'))
);
CREATE INDEX entities_of_plugin ON erp_plugin.entities (plugin, entity);

-- What was put aside: a column of an entity's table, or, where `field` is absent, a whole table or a document.
CREATE TABLE erp_plugin.archives (
    table_name text COLLATE "C" NOT NULL,
    kept_as text COLLATE "C" NOT NULL,
    ordinal bigint NOT NULL,
    plugin text COLLATE "C" NOT NULL,
    entity text COLLATE "C" NOT NULL,
    field text,
    definition text,
    version text,
    PRIMARY KEY (table_name, kept_as)
);

-- Tables whose records are being moved: the step, and the columns that were added for it.
CREATE TABLE erp_plugin.schema_moves (
    table_name text COLLATE "C" NOT NULL PRIMARY KEY,
    step text NOT NULL,
    columns text NOT NULL
);

-- Records that were written while they were moved.
CREATE TABLE erp_plugin.schema_notes (
    tenant_id text COLLATE "C" NOT NULL,
    table_name text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    PRIMARY KEY (tenant_id, table_name, id)
);
CREATE FUNCTION erp_plugin.note_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO erp_plugin.schema_notes (tenant_id, table_name, id) VALUES (NEW.tenant_id, TG_ARGV[0], NEW.id)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TABLE erp_plugin.components (
    hash bytea NOT NULL PRIMARY KEY,
    bytes bytea NOT NULL
);
ALTER TABLE erp_plugin.components ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE erp_plugin.plugin_versions (
    plugin text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    installation bigint NOT NULL UNIQUE,
    component bytea NOT NULL,
    manifest bytea,
    granted bytea NOT NULL,
    installed_at timestamptz NOT NULL,
    PRIMARY KEY (plugin, version)
);

CREATE TABLE erp_plugin.active_versions (
    plugin text COLLATE "C" NOT NULL PRIMARY KEY,
    version text NOT NULL
);

CREATE TABLE erp_plugin.system_config (
    key text COLLATE "C" NOT NULL PRIMARY KEY,
    value text NOT NULL
);

-- One row: another number whenever what is installed changes. It has a key because the backend takes an index for
-- everything.
CREATE TABLE erp_plugin.registry (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    revision bigint NOT NULL
);
INSERT INTO erp_plugin.registry (revision) VALUES (0);

-- Where each plugin stands in each tenant: at which version, and whether it is out of use until some moment because it
-- kept failing.
CREATE TABLE erp_plugin.activations (
    tenant_id text COLLATE "C" NOT NULL,
    plugin text COLLATE "C" NOT NULL,
    version text NOT NULL,
    enabled boolean NOT NULL,
    tenant_told boolean NOT NULL,
    pinned boolean NOT NULL,
    quarantined_since timestamptz,
    quarantined_until timestamptz,
    quarantine_times bigint,
    quarantine_error text,
    PRIMARY KEY (tenant_id, plugin)
);

-- Fails: asked with COMMIT, where a plugin is not enabled at the version that wrote, it keeps out what that wrote.
CREATE FUNCTION erp_plugin.another_version() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the plugin does not run at this version' USING ERRCODE = 'ER002';
END
$$;

CREATE TABLE erp_plugin.subscriptions (
    tenant_id text COLLATE "C" NOT NULL,
    plugin text COLLATE "C" NOT NULL,
    ordinal bigint NOT NULL,
    pattern text NOT NULL,
    own_events boolean NOT NULL,
    key_field text,
    PRIMARY KEY (tenant_id, plugin, ordinal)
);

-- What the platform's own subscribers get of every tenant.
CREATE TABLE erp_plugin.platform_subscriptions (
    subscriber text COLLATE "C" NOT NULL,
    pattern text COLLATE "C" NOT NULL,
    PRIMARY KEY (subscriber, pattern)
);

CREATE TABLE erp_plugin.plugin_config (
    tenant_id text COLLATE "C" NOT NULL,
    plugin text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (tenant_id, plugin, key)
);

-- What a role gives: permissions and patterns of them, with a space between two.
CREATE TABLE erp_plugin.roles (
    tenant_id text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    permissions text NOT NULL,
    PRIMARY KEY (tenant_id, role)
);

CREATE TABLE erp_plugin.role_assignments (
    tenant_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, user_id, role)
);
CREATE INDEX role_assignments_role ON erp_plugin.role_assignments (tenant_id, role);

-- The last number that was given of each series; `field` is the field's column.
CREATE TABLE erp_plugin.number_series (
    tenant_id text COLLATE "C" NOT NULL,
    entity text COLLATE "C" NOT NULL,
    field text COLLATE "C" NOT NULL,
    series text COLLATE "C" NOT NULL,
    last_number bigint NOT NULL,
    PRIMARY KEY (tenant_id, entity, field, series)
);

-- Events as published. `xact` is the transaction that published them: of two of which the second saw the first's
-- commit, the second has the greater one; a negative one came with a copy, before all others. `seq` is given by the
-- dispatcher, one after the other. The platform's own code may write them too, in a transaction of its own that has set
-- the tenant; tenant_id, event_type, key and payload are enough.
CREATE TABLE erp_plugin.outbox (
    tenant_id text COLLATE "C" NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    event_type text COLLATE "C" NOT NULL CHECK (
        length(event_type) <= 128 AND event_type ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+){1,7}$'
    ),
    key text COLLATE "C" NOT NULL,
    payload text NOT NULL,
    publisher text COLLATE "C" NOT NULL DEFAULT 'core',
    invocation uuid NOT NULL DEFAULT gen_random_uuid(),
    ordinal bigint NOT NULL DEFAULT 0,
    caused_by text,
    parent uuid,
    depth bigint NOT NULL DEFAULT 0,
    published_at timestamptz NOT NULL DEFAULT now(),
    xact bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    seq bigint,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX outbox_unnumbered ON erp_plugin.outbox (tenant_id, xact, invocation, ordinal) WHERE seq IS NULL;
CREATE INDEX outbox_numbered ON erp_plugin.outbox (tenant_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX outbox_seq ON erp_plugin.outbox (seq) WHERE seq IS NOT NULL;
CREATE INDEX outbox_published ON erp_plugin.outbox (published_at) WHERE seq IS NOT NULL;

-- One row: the last number that the dispatcher gave, the tenant whose turn its last round ended with, and the lock of
-- whoever dispatches. It has a key because the backend takes an index for everything.
CREATE TABLE erp_plugin.dispatcher (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    last_seq bigint NOT NULL,
    last_tenant text COLLATE "C" NOT NULL
);
INSERT INTO erp_plugin.dispatcher (last_seq, last_tenant) VALUES (0, '');

-- Where each stream (tenant, plugin, key) stands. Written by the dispatcher and by those who claim, never by the
-- transaction of a handler: it would fail to serialize whenever its stream grew meanwhile. `waiting` is the number of
-- an event of which a delivery waited the last time that anybody looked, and NULL when none did; `claimed_by` the worker
-- that has the stream in hand; `retry_at` when its head is to be tried again, which failed at `failed_at`.
CREATE TABLE erp_plugin.streams (
    tenant_id text COLLATE "C" NOT NULL,
    plugin text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    last_number bigint NOT NULL,
    waiting bigint,
    token bigint NOT NULL,
    claimed_by uuid,
    retry_at timestamptz,
    failed_at timestamptz,
    PRIMARY KEY (tenant_id, plugin, key)
);
CREATE INDEX streams_waiting ON erp_plugin.streams (tenant_id, waiting, plugin, key)
    WHERE waiting IS NOT NULL AND claimed_by IS NULL AND retry_at IS NULL;
CREATE INDEX streams_claimed ON erp_plugin.streams (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX streams_retry ON erp_plugin.streams (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX streams_failed ON erp_plugin.streams (failed_at) WHERE retry_at IS NOT NULL;

CREATE TABLE erp_plugin.deliveries (
    tenant_id text COLLATE "C" NOT NULL,
    plugin text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    event uuid NOT NULL,
    seq bigint NOT NULL,
    status text COLLATE "C" NOT NULL CHECK (status IN ('pending', 'done', 'dead', 'dropped')),
    token bigint NOT NULL,
    attempts bigint NOT NULL,
    last_error text,
    failed_at timestamptz,
    PRIMARY KEY (tenant_id, plugin, key, number)
);
CREATE INDEX deliveries_pending ON erp_plugin.deliveries (tenant_id, plugin, key, number) WHERE status = 'pending';
CREATE INDEX deliveries_dead ON erp_plugin.deliveries (seq, tenant_id, plugin) WHERE status = 'dead';
CREATE INDEX deliveries_event ON erp_plugin.deliveries (tenant_id, event);

-- The jobs of a tenant's plugins: until when each is planned, and when it is to be planned again. Whoever claims a run of a
-- job has its row.
CREATE TABLE erp_plugin.jobs (
    tenant_id text COLLATE "C" NOT NULL,
    plugin text COLLATE "C" NOT NULL,
    job text COLLATE "C" NOT NULL,
    schedule text,
    planned_until timestamptz NOT NULL,
    plan_at timestamptz,
    PRIMARY KEY (tenant_id, plugin, job)
);
CREATE INDEX jobs_due ON erp_plugin.jobs (plan_at) WHERE plan_at IS NOT NULL;

-- What became of each occasion of a job. One that waits has been attempted or not, and `claimed_by` is the worker that has
-- it in hand; it may begin at `due_at`, having failed at `failed_at`.
CREATE TABLE erp_plugin.job_runs (
    tenant_id text COLLATE "C" NOT NULL,
    plugin text COLLATE "C" NOT NULL,
    job text COLLATE "C" NOT NULL,
    occasion timestamptz NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('cron', 'one-off')),
    id uuid NOT NULL,
    payload text,
    state text COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'done', 'failed', 'skipped')),
    token bigint NOT NULL,
    attempts bigint NOT NULL,
    due_at timestamptz NOT NULL,
    claimed_by uuid,
    note text,
    failed_at timestamptz,
    began_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, plugin, job, occasion, kind),
    CHECK (claimed_by IS NULL OR state = 'waiting')
);
CREATE UNIQUE INDEX job_runs_id ON erp_plugin.job_runs (tenant_id, id);
CREATE INDEX job_runs_latest ON erp_plugin.job_runs (tenant_id, occasion);
CREATE INDEX job_runs_due ON erp_plugin.job_runs (due_at) WHERE state = 'waiting' AND claimed_by IS NULL;
CREATE INDEX job_runs_waiting ON erp_plugin.job_runs (tenant_id, plugin, job, occasion, kind)
    WHERE state = 'waiting';
-- Runs of one job never overlap.
CREATE UNIQUE INDEX job_runs_in_hand ON erp_plugin.job_runs (tenant_id, plugin, job)
    WHERE claimed_by IS NOT NULL;
CREATE INDEX job_runs_claimed ON erp_plugin.job_runs (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX job_runs_ended ON erp_plugin.job_runs (ended_at) WHERE ended_at IS NOT NULL;

-- One row: the tenant whose turn the last round of claims ended with.
CREATE TABLE erp_plugin.claim_turn (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    last_tenant text COLLATE "C" NOT NULL
);
INSERT INTO erp_plugin.claim_turn (last_tenant) VALUES ('');

-- Those who work off deliveries and runs of jobs, and their signs of life.
CREATE TABLE erp_plugin.workers (
    id uuid NOT NULL PRIMARY KEY,
    beat bigint NOT NULL
);

CREATE TABLE erp_plugin.invocations (
    tenant_id text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    plugin text COLLATE "C" NOT NULL,
    plugin_version text NOT NULL,
    trigger text NOT NULL,
    caused_by text,
    started_at timestamptz NOT NULL,
    error text,
    fuel bigint NOT NULL,
    micros bigint NOT NULL,
    peak_memory bigint NOT NULL,
    host_calls bigint NOT NULL,
    rows_read bigint NOT NULL,
    rows_written bigint NOT NULL,
    bytes bigint NOT NULL,
    events bigint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE erp_plugin.log_lines (
    tenant_id text COLLATE "C" NOT NULL,
    invocation uuid NOT NULL,
    ordinal bigint NOT NULL,
    plugin text COLLATE "C" NOT NULL,
    level bigint NOT NULL,
    message text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, invocation, ordinal)
);
CREATE INDEX log_lines_newest ON erp_plugin.log_lines (tenant_id, at, invocation, ordinal);

-- Who did what about plugins and tenants. What was done to the platform has the tenant ''.
CREATE TABLE erp_plugin.audit (
    tenant_id text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    id uuid NOT NULL,
    done_by text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    plugin text COLLATE "C",
    before text,
    after text,
    detail text,
    PRIMARY KEY (tenant_id, at, id)
);
CREATE INDEX audit_newest ON erp_plugin.audit (at, id);

-- Who changed what. The verb is 0 insert, 1 update, 2 restore, 3 delete.
CREATE TABLE erp_plugin.record_history (
    tenant_id text COLLATE "C" NOT NULL,
    entity text COLLATE "C" NOT NULL,
    record uuid NOT NULL,
    version bigint NOT NULL,
    verb bigint NOT NULL,
    at timestamptz NOT NULL,
    changed_by text COLLATE "C" NOT NULL,
    caused_by text COLLATE "C",
    plugin text COLLATE "C",
    plugin_version text,
    invocation uuid NOT NULL,
    changes text,
    PRIMARY KEY (tenant_id, entity, record, version, verb)
);
CREATE INDEX record_history_newest ON erp_plugin.record_history (tenant_id, entity, at, record, version, verb);

-- The wall between tenants. Forced, so that it holds for the owner too. Workers look across it, at these tables alone.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'activations', 'subscriptions', 'plugin_config', 'roles', 'role_assignments', 'number_series', 'outbox', 'streams',
        'deliveries', 'jobs', 'job_runs', 'invocations', 'log_lines', 'audit', 'record_history', 'schema_notes'
    ] LOOP
        EXECUTE format('ALTER TABLE erp_plugin.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE erp_plugin.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY tenant ON erp_plugin.%I TO {app}, {owner} USING (tenant_id = (SELECT erp_plugin.current_tenant()))',
            name
        );
        -- What was in records, or is given to them, is no worker's business.
        IF name NOT IN ('record_history', 'number_series') THEN
            EXECUTE format('CREATE POLICY worker ON erp_plugin.%I TO {worker} USING (true)', name);
        END IF;
    END LOOP;
END
$$;

-- Who finishes a step sees what was noted of every tenant, and nothing else of theirs.
CREATE POLICY owner ON erp_plugin.schema_notes TO {owner} USING (true);

GRANT USAGE ON SCHEMA erp_plugin TO PUBLIC;
GRANT SELECT ON erp_plugin.system_schema TO PUBLIC;
GRANT SELECT ON erp_plugin.entities, erp_plugin.archives TO {app}, {worker};
GRANT UPDATE (version) ON erp_plugin.entities TO {worker};
GRANT SELECT, INSERT ON erp_plugin.schema_notes TO {app};
GRANT SELECT, INSERT, UPDATE ON erp_plugin.activations, erp_plugin.number_series TO {app};
GRANT SELECT, INSERT, UPDATE, DELETE ON
    erp_plugin.subscriptions, erp_plugin.plugin_config, erp_plugin.roles, erp_plugin.role_assignments, erp_plugin.jobs
    TO {app};
GRANT SELECT, INSERT ON erp_plugin.outbox, erp_plugin.invocations, erp_plugin.log_lines, erp_plugin.audit TO {app};
GRANT SELECT, INSERT, DELETE ON erp_plugin.record_history TO {app};
GRANT SELECT, UPDATE ON erp_plugin.deliveries, erp_plugin.job_runs TO {app};
GRANT SELECT ON erp_plugin.streams TO {app};
GRANT SELECT, INSERT, UPDATE, DELETE ON
    erp_plugin.tenants, erp_plugin.components, erp_plugin.plugin_versions, erp_plugin.active_versions,
    erp_plugin.system_config,
    erp_plugin.outbox, erp_plugin.dispatcher, erp_plugin.streams, erp_plugin.deliveries, erp_plugin.claim_turn,
    erp_plugin.workers, erp_plugin.platform_subscriptions, erp_plugin.jobs, erp_plugin.job_runs,
    erp_plugin.activations, erp_plugin.subscriptions, erp_plugin.plugin_config, erp_plugin.roles,
    erp_plugin.role_assignments, erp_plugin.invocations, erp_plugin.log_lines, erp_plugin.registry, erp_plugin.audit
    TO {worker};
