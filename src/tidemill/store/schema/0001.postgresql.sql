CREATE TABLE artifacts (
    id TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    materialiser TEXT COLLATE "C" NOT NULL,
    size BIGINT DEFAULT 0 NOT NULL,
    created_at BIGINT NOT NULL,
    inline TEXT COLLATE "C",
    blob TEXT COLLATE "C",
    metadata TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX artifacts_by_blob ON artifacts (blob) WHERE blob IS NOT NULL;

CREATE INDEX artifacts_by_digest ON artifacts (digest, created_at, id);

CREATE TABLE audit (
    id TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    details TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX audit_by_action ON audit (action, at, id);

CREATE INDEX audit_by_actor ON audit (actor, at, id);

CREATE INDEX audit_by_subject ON audit (subject, at, id);

CREATE INDEX audit_by_time ON audit (at, id);

CREATE TABLE contexts (
    id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    parent_id TEXT COLLATE "C",
    attributes TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(parent_id) REFERENCES contexts (id) DEFERRABLE INITIALLY IMMEDIATE
);

CREATE UNIQUE INDEX contexts_by_name ON contexts (kind, name, coalesce(parent_id, ''));

CREATE INDEX contexts_by_parent ON contexts (parent_id);

CREATE TABLE fingerprints (
    digest TEXT COLLATE "C" NOT NULL,
    parts TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    PRIMARY KEY (digest)
);

CREATE TABLE leases (
    resource TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,
    epoch BIGINT NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (resource)
);

CREATE INDEX leases_by_expiry ON leases (expires_at, resource) WHERE owner <> '';

CREATE TABLE models (
    name TEXT COLLATE "C" NOT NULL,
    last_version INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE runs (
    id TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    pipeline TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    parent_id TEXT COLLATE "C",
    resumed_from TEXT COLLATE "C",
    user_name TEXT COLLATE "C" DEFAULT '' NOT NULL,
    host TEXT COLLATE "C" DEFAULT '' NOT NULL,
    commit_id TEXT COLLATE "C" DEFAULT '' NOT NULL,
    arguments TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    environment TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    error TEXT COLLATE "C",
    PRIMARY KEY (id),
    FOREIGN KEY(parent_id) REFERENCES runs (id) DEFERRABLE INITIALLY IMMEDIATE,
    FOREIGN KEY(resumed_from) REFERENCES runs (id) DEFERRABLE INITIALLY IMMEDIATE
);

CREATE INDEX runs_by_parent ON runs (parent_id, started_at, id);

CREATE INDEX runs_by_pipeline ON runs (pipeline, started_at, id);

CREATE INDEX runs_by_project ON runs (project, started_at, id);

CREATE INDEX runs_by_resumed ON runs (resumed_from);

CREATE INDEX runs_by_status ON runs (status, started_at, id);

CREATE INDEX runs_by_time ON runs (started_at, id);

CREATE TABLE schema_versions (
    number INTEGER NOT NULL,
    title TEXT COLLATE "C" NOT NULL,
    applied_at BIGINT NOT NULL,
    PRIMARY KEY (number)
);

CREATE TABLE executions (
    id TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    step TEXT COLLATE "C" NOT NULL,
    node TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    attempt INTEGER DEFAULT 1 NOT NULL,
    key TEXT COLLATE "C" DEFAULT '' NOT NULL,
    code TEXT COLLATE "C" DEFAULT '' NOT NULL,
    key_parts TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    cached_from TEXT COLLATE "C",
    executor TEXT COLLATE "C" DEFAULT 'inline' NOT NULL,
    error TEXT COLLATE "C",
    log_text TEXT COLLATE "C" DEFAULT '' NOT NULL,
    log TEXT COLLATE "C",
    seconds DOUBLE PRECISION DEFAULT 0 NOT NULL,
    cpu_seconds DOUBLE PRECISION DEFAULT 0 NOT NULL,
    max_rss BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE INDEX executions_by_key ON executions (key, ended_at, id) WHERE status = 'succeeded';

CREATE INDEX executions_by_log ON executions (log) WHERE log IS NOT NULL;

CREATE INDEX executions_by_node ON executions (node, started_at, id);

CREATE INDEX executions_by_run ON executions (run_id, started_at, id);

CREATE TABLE last_metrics (
    run_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    context TEXT COLLATE "C" NOT NULL,
    value DOUBLE PRECISION,
    step BIGINT DEFAULT 0 NOT NULL,
    time BIGINT NOT NULL,
    execution_id TEXT COLLATE "C",
    PRIMARY KEY (run_id, name, context),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE INDEX last_metrics_by_value ON last_metrics (name, context, value, run_id);

CREATE TABLE metrics (
    seq BIGSERIAL NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    value DOUBLE PRECISION,
    step BIGINT DEFAULT 0 NOT NULL,
    time BIGINT NOT NULL,
    context TEXT COLLATE "C" DEFAULT '' NOT NULL,
    execution_id TEXT COLLATE "C",
    PRIMARY KEY (seq),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE INDEX metrics_by_name ON metrics (run_id, name, context, step, time, seq);

CREATE TABLE params (
    run_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, name),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE INDEX params_by_name ON params (name, run_id);

CREATE TABLE run_contexts (
    run_id TEXT COLLATE "C" NOT NULL,
    context_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, context_id),
    FOREIGN KEY(run_id) REFERENCES runs (id),
    FOREIGN KEY(context_id) REFERENCES contexts (id)
);

CREATE INDEX run_contexts_by_context ON run_contexts (context_id, run_id);

CREATE TABLE tags (
    run_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, name),
    FOREIGN KEY(run_id) REFERENCES runs (id)
);

CREATE INDEX tags_by_name ON tags (name, run_id);

CREATE TABLE events (
    execution_id TEXT COLLATE "C" NOT NULL,
    direction TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    artifact_id TEXT COLLATE "C" NOT NULL,
    position INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (execution_id, direction, name),
    FOREIGN KEY(execution_id) REFERENCES executions (id),
    FOREIGN KEY(artifact_id) REFERENCES artifacts (id)
);

CREATE INDEX events_by_artifact ON events (artifact_id, direction, execution_id);

CREATE TABLE model_versions (
    id TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    run_id TEXT COLLATE "C",
    execution_id TEXT COLLATE "C",
    package TEXT COLLATE "C" NOT NULL,
    stage TEXT COLLATE "C" DEFAULT 'registered' NOT NULL,
    description TEXT COLLATE "C" DEFAULT '' NOT NULL,
    tags TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    metrics TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    gate TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    archived SMALLINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT model_versions_by_number UNIQUE (model, version),
    FOREIGN KEY(model) REFERENCES models (name),
    FOREIGN KEY(run_id) REFERENCES runs (id),
    FOREIGN KEY(execution_id) REFERENCES executions (id),
    FOREIGN KEY(package) REFERENCES artifacts (id)
);

CREATE INDEX model_versions_by_execution ON model_versions (execution_id, created_at, id);

CREATE INDEX model_versions_by_model ON model_versions (model, created_at, id);

CREATE INDEX model_versions_by_package ON model_versions (package, created_at, id);

CREATE INDEX model_versions_by_run ON model_versions (run_id, created_at, id);

CREATE INDEX model_versions_by_time ON model_versions (created_at, id);

CREATE TABLE aliases (
    model TEXT COLLATE "C" NOT NULL,
    alias TEXT COLLATE "C" NOT NULL,
    version INTEGER NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (model, alias),
    FOREIGN KEY(model, version) REFERENCES model_versions (model, version)
);

CREATE INDEX aliases_by_version ON aliases (model, version);
