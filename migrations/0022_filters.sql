-- Payload filters are few: the handoff asks at each batch whether there is one at all.
set local role daybook_owner;
set local search_path = daybook;

create index webhook_versions_filtered on webhook_versions (tenant_id)
    where filter is not null;
