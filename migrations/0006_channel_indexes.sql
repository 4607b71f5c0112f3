-- Lists by name. With a name, a page is in the order of its kind and scene; without one, these are in the order of names.
CREATE INDEX channel_by_label ON channel (appid, label, kind, scene);
CREATE INDEX channel_by_group ON channel (appid, group_name, kind, scene);
