CREATE TABLE label_queues (
    id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    label_schema TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    guidelines TEXT COLLATE "C" DEFAULT '' NOT NULL,
    overlap INTEGER DEFAULT 1 NOT NULL,
    lease_seconds DOUBLE PRECISION NOT NULL,
    events BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (id)
);

CREATE UNIQUE INDEX label_queues_by_name ON label_queues (name);

CREATE TABLE label_batches (
    queue_id TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    artifact_id TEXT COLLATE "C",
    added_at BIGINT NOT NULL,
    added_by TEXT COLLATE "C" NOT NULL,
    tasks BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (queue_id, number),
    FOREIGN KEY(queue_id) REFERENCES label_queues (id),
    FOREIGN KEY(artifact_id) REFERENCES artifacts (id)
);

CREATE INDEX label_batches_by_artifact ON label_batches (artifact_id);

CREATE TABLE label_tasks (
    queue_id TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    "key" TEXT COLLATE "C" NOT NULL,
    data TEXT COLLATE "C" DEFAULT '{}' NOT NULL,
    batch INTEGER NOT NULL,
    source_row BIGINT DEFAULT 0 NOT NULL,
    sort_rank DOUBLE PRECISION DEFAULT 0 NOT NULL,
    labels INTEGER DEFAULT 0 NOT NULL,
    leases INTEGER DEFAULT 0 NOT NULL,
    is_open SMALLINT DEFAULT 1 NOT NULL,
    status TEXT COLLATE "C" DEFAULT 'waiting' NOT NULL,
    disputed SMALLINT DEFAULT 0 NOT NULL,
    flagged SMALLINT DEFAULT 0 NOT NULL,
    decision TEXT COLLATE "C",
    decided_by TEXT COLLATE "C",
    decided_at BIGINT,
    PRIMARY KEY (queue_id, number),
    FOREIGN KEY(queue_id, batch) REFERENCES label_batches (queue_id, number)
);

CREATE UNIQUE INDEX label_tasks_by_key ON label_tasks (queue_id, "key");

CREATE INDEX label_tasks_disputed ON label_tasks (queue_id, number) WHERE disputed = 1;

CREATE INDEX label_tasks_flagged ON label_tasks (queue_id, number) WHERE flagged = 1;

CREATE INDEX label_tasks_open ON label_tasks (queue_id, sort_rank, number) WHERE is_open = 1;

CREATE INDEX label_tasks_by_status ON label_tasks (queue_id, status, number);

CREATE TABLE label_places (
    queue_id TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    annotator TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C",
    expires_at DOUBLE PRECISION DEFAULT 0 NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (queue_id, number, annotator),
    FOREIGN KEY(queue_id, number) REFERENCES label_tasks (queue_id, number)
);

CREATE INDEX label_places_by_annotator ON label_places (queue_id, annotator, number);

CREATE INDEX label_places_leased ON label_places (queue_id, expires_at) WHERE state = 'leased';

CREATE INDEX label_places_held ON label_places (queue_id, annotator, number) WHERE state = 'leased';

CREATE TABLE label_events (
    queue_id TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    number BIGINT NOT NULL,
    annotator TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C",
    comment TEXT COLLATE "C" DEFAULT '' NOT NULL,
    seconds DOUBLE PRECISION DEFAULT 0 NOT NULL,
    score DOUBLE PRECISION,
    at BIGINT NOT NULL,
    undone SMALLINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (queue_id, seq),
    FOREIGN KEY(queue_id, number) REFERENCES label_tasks (queue_id, number)
);

CREATE INDEX label_events_by_annotator ON label_events (queue_id, annotator, seq);

CREATE INDEX label_events_by_task ON label_events (queue_id, number, seq);

CREATE TABLE label_cursors (
    queue_id TEXT COLLATE "C" NOT NULL,
    annotator TEXT COLLATE "C" NOT NULL,
    sort_rank DOUBLE PRECISION NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (queue_id, annotator),
    FOREIGN KEY(queue_id) REFERENCES label_queues (id)
);
