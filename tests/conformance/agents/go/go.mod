module conformance

go 1.26

require daca v0.0.0

replace daca => ../../../../guest/go
