-- Run by the image of PostgreSQL once, when the database is made. A second run would fail: the tables are there.
CREATE TABLE public.players (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    rating integer NOT NULL DEFAULT 1000
);

CREATE TABLE public.matches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    home bigint NOT NULL REFERENCES public.players (id),
    away bigint NOT NULL REFERENCES public.players (id),
    home_points integer NOT NULL,
    away_points integer NOT NULL,
    played_at timestamptz NOT NULL DEFAULT now(),
    CHECK (home <> away)
);

CREATE TABLE public.initialised (at timestamptz NOT NULL DEFAULT now());
INSERT INTO public.initialised DEFAULT VALUES;
