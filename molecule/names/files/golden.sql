--
-- PostgreSQL database dump
--

SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);

CREATE TABLE public.customers (
    id integer NOT NULL,
    name text
);

CREATE TABLE public.invoices (
    id integer NOT NULL,
    customer integer,
    note text
);

COPY public.customers (id, name) FROM stdin;
1	Golden & Sons
2	{{ not a template }}
\.

COPY public.invoices (id, customer, note) FROM stdin;
10	1	first
\.

ALTER TABLE ONLY public.customers
    ADD CONSTRAINT customers_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.invoices
    ADD CONSTRAINT invoices_customer_fkey FOREIGN KEY (customer) REFERENCES public.customers(id);

--
-- PostgreSQL database dump complete
--

