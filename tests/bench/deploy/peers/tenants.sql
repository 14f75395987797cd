-- The tenants that the visitors of the measurements ask for.
INSERT INTO public.tenants (subdomain, plan_id)
SELECT subdomain, plans.id FROM (VALUES ('alpha'), ('charlie')) AS wanted (subdomain), public.plans WHERE plans.name = 'free'
ON CONFLICT (subdomain) DO NOTHING;
CREATE SCHEMA IF NOT EXISTS tenant_alpha;
CREATE SCHEMA IF NOT EXISTS tenant_charlie;
CREATE TABLE IF NOT EXISTS tenant_alpha.products (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL CHECK (name <> ''),
    price_cents integer NOT NULL DEFAULT 0 CHECK (price_cents >= 0),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS tenant_charlie.products (LIKE tenant_alpha.products INCLUDING ALL);
