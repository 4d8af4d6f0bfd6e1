-- The catalog a project read by at every epoch, so that an answer of the past can be told as it was.
-- `catalog` has the rows of domain/catalog.py as store/catalog.py reads them: features, benefits, policies.

CREATE TABLE catalog_history (
  project_id  text NOT NULL REFERENCES projects,
  epoch       bigint NOT NULL CHECK (epoch > 0),
  recorded_at timestamptz NOT NULL,
  catalog     jsonb NOT NULL,
  PRIMARY KEY (project_id, epoch)
);

-- What was before is not known: the present epoch stands for everything since the project was made.
INSERT INTO catalog_history (project_id, epoch, recorded_at, catalog)
SELECT p.id, p.catalog_epoch, p.created_at, jsonb_build_object(
  'features', (SELECT COALESCE(jsonb_agg(jsonb_build_array(f.code, f.type, f.merge)), '[]')
                 FROM features AS f WHERE f.project_id = p.id),
  'benefits', (SELECT COALESCE(jsonb_agg(jsonb_build_array(b.product_id, b.price_id, b.feature_code, b.value,
                                                           b.per_unit, b.priority)), '[]')
                 FROM benefits AS b WHERE b.project_id = p.id),
  'policies', (SELECT COALESCE(jsonb_agg(jsonb_build_array(r.id, EXTRACT(epoch FROM r.grace_period),
                                                           EXTRACT(epoch FROM r.renewal_leeway), r.access_days,
                                                           r.on_full_refund, r.on_partial_refund)), '[]')
                 FROM prices AS r
                 WHERE (r.product_id IN (SELECT o.id FROM products AS o WHERE o.project_id = p.id)
                        OR r.product_id IN (SELECT b.product_id FROM benefits AS b WHERE b.project_id = p.id)
                        OR r.id IN (SELECT b.price_id FROM benefits AS b WHERE b.project_id = p.id))
                   AND num_nonnulls(r.grace_period, r.renewal_leeway, r.access_days, r.on_full_refund,
                                    r.on_partial_refund) > 0))
FROM projects AS p;
