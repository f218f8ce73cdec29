module daca

go 1.26
